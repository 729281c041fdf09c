#include "unnoise/models/model_summary.h"

#include <gtest/gtest.h>

#include <map>

namespace unnoise {
namespace {

TEST(ModelSummary, RowsAddUpToTheTotals) {
  Rng rng(0);
  const UNet2D unet(unet2d_preset("mnist"), &rng);
  const ModelSummary summary = summarize(unet, 28, 28);

  std::map<std::string, const SummaryRow*> rows;
  for (const SummaryRow& row : summary.rows) rows[row.name] = &row;
  int64_t parameters = 0, multiply_adds = 0;
  for (const SummaryRow& row : summary.rows)
    if (row.depth == 1) parameters += row.parameters, multiply_adds += row.multiply_adds;
  EXPECT_EQ(parameters, 1707009);
  EXPECT_EQ(summary.parameters, 1707009);
  EXPECT_EQ(summary.multiply_adds, multiply_adds);

  EXPECT_EQ(rows.at("")->output, (Shape{1, 1, 28, 28}));
  EXPECT_EQ(rows.at("conv_in")->multiply_adds, 28 * 28 * 32 * 1 * 9);
  EXPECT_EQ(rows.at("down_blocks.0")->output, (Shape{1, 32, 14, 14}));
  EXPECT_EQ(rows.at("down_blocks.1.attentions.0")->description, "Attention(64, heads=8, head_dim=8)");
  // q, k, v and output projections of 14x14 pixels, then every pixel with every other, twice
  EXPECT_EQ(rows.at("down_blocks.1.attentions.0")->multiply_adds, 4 * 196 * 64 * 64 + 2 * 196 * 196 * 64);
  EXPECT_EQ(rows.at("mid_block.resnets.1.conv2")->parameters, 64 * 64 * 9 + 64);
  EXPECT_TRUE(rows.at("down_blocks")->output.empty());
  for (const SummaryRow& row : summary.rows)
    if (row.parameters > 0 && row.description != "ModuleList") EXPECT_FALSE(row.output.empty()) << row.name;
}

TEST(ModelSummary, WorksWithClassesOfEveryKind) {
  UNet2DOptions o = unet2d_preset("mnist");
  o.num_class_embeds = 10;
  const int64_t plain = summarize(UNet2D(unet2d_preset("mnist"), nullptr), 28, 28).multiply_adds;
  EXPECT_EQ(summarize(UNet2D(o, nullptr), 28, 28).multiply_adds, plain);  // a table is looked up, not multiplied
  o.class_embed_type = ClassEmbedType::timestep;
  EXPECT_GT(summarize(UNet2D(o, nullptr), 28, 28).multiply_adds, plain);
  o.class_embed_type = ClassEmbedType::identity;
  EXPECT_EQ(summarize(UNet2D(o, nullptr), 28, 28).multiply_adds, plain);
}

}  // namespace
}  // namespace unnoise
