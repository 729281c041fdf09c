// WebP by libwebp's animation decoder, as in Pillow: a still picture is an animation of one frame.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "unnoise/io/image_decode.h"

namespace unnoise::image_decode {
namespace {

using Demuxer = std::unique_ptr<WebPDemuxer, decltype(&WebPDemuxDelete)>;
using AnimDecoder = std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)>;

int orientation_of(const WebPDemuxer* demuxer) {
  WebPChunkIterator chunk;
  int orientation = 1;
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk))
    orientation = exif_orientation({reinterpret_cast<const char*>(chunk.chunk.bytes), chunk.chunk.size});
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

}  // namespace

Decoded decode_webp(std::string_view bytes, std::string_view where) {
  const WebPData data{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
  const Demuxer demuxer(WebPDemux(&data), WebPDemuxDelete);
  WebPBitstreamFeatures features;
  if (!demuxer || WebPGetFeatures(data.bytes, data.size, &features) != VP8_STATUS_OK)
    fail_damaged(where, "WebP", "its chunks do not add up");
  check_size(WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH), WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT),
             where);

  WebPAnimDecoderOptions options;
  WebPAnimDecoderOptionsInit(&options);
  options.color_mode = MODE_RGBA;
  const AnimDecoder decoder(WebPAnimDecoderNew(&data, &options), WebPAnimDecoderDelete);
  WebPAnimInfo info;
  uint8_t* frame = nullptr;  // owned by the decoder
  int timestamp = 0;
  if (!decoder || !WebPAnimDecoderGetInfo(decoder.get(), &info) ||
      !WebPAnimDecoderGetNext(decoder.get(), &frame, &timestamp))
    fail_damaged(where, "WebP", "its pixels cannot be decoded");

  Decoded out{{info.canvas_width, info.canvas_height, features.has_alpha ? "RGBA" : "RGB", {}, {}, {}},
              orientation_of(demuxer.get())};
  const size_t channels = features.has_alpha ? 4 : 3;
  const size_t count = static_cast<size_t>(info.canvas_width) * info.canvas_height;
  out.image.pixels.resize(count * channels);
  uint8_t* to = out.image.pixels.data();
  for (size_t i = 0; i < count; ++i)
    for (size_t c = 0; c < channels; ++c) *to++ = frame[4 * i + c];
  return out;
}

}  // namespace unnoise::image_decode
