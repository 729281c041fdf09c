#include "unnoise/io/model_card.h"

#include <gmock/gmock.h>

#include "format_bytes.h"

namespace unnoise {
namespace {

using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

ModelCard garments() {
  ModelCard card;
  card.title = "Garments";
  card.license = "apache-2.0";
  card.summary = "Draws garments.";
  card.sections = {{"Training", "6 minutes."}, {"Limits", "Grey."}};
  return card;
}

TEST(ModelCard, WritesFrontMatterAndSections) {
  const std::string text = model_card_text(garments());
  EXPECT_TRUE(
      text.starts_with("---\nlicense: apache-2.0\nlibrary_name: diffusers\n"
                       "pipeline_tag: unconditional-image-generation\ntags:\n- unnoise\n- diffusers\n"
                       "- unconditional-image-generation\n---\n\n<!-- Written by unnoise, "));
  EXPECT_THAT(text, HasSubstr("\n# Garments\n\nDraws garments.\n\n## Training\n\n6 minutes.\n\n## Limits\n\nGrey.\n"));
}

TEST(ModelCard, IsReplacedUnlessAPersonWroteIt) {
  const TemporaryFolder dir;
  ModelCard card = garments();
  EXPECT_TRUE(save_model_card(dir / "m", card));
  card.license = "mit";
  EXPECT_TRUE(save_model_card(dir / "m", card));
  EXPECT_EQ(read_license(dir / "m"), "mit");

  write_file_atomic(dir / "m/README.md", "---\nlicense: cc0-1.0\n---\nmine\n");
  EXPECT_FALSE(save_model_card(dir / "m", card));
  EXPECT_EQ(read_license(dir / "m"), "cc0-1.0");
  EXPECT_TRUE(save_model_card(dir / "m", card, ExistingCard::replace));
  EXPECT_EQ(read_license(dir / "m"), "mit");
}

TEST(ModelCard, OneChangedLetterMakesItTheUsers) {
  const TemporaryFolder dir;
  const std::string text = model_card_text(garments());
  EXPECT_TRUE(is_untouched_card(text));
  for (size_t at = 0; at < text.size(); at += 7) {
    std::string changed = text;
    changed[at] ^= 1;
    EXPECT_FALSE(is_untouched_card(changed)) << changed.substr(at > 10 ? at - 10 : 0, 20);
  }
  EXPECT_FALSE(is_untouched_card(text + "mine\n"));
  EXPECT_FALSE(is_untouched_card(text.substr(0, text.find("Change"))));

  write_file_atomic(dir / "README.md", text + "mine\n");
  EXPECT_FALSE(save_model_card(dir.path(), garments()));
  EXPECT_EQ(read_file(dir / "README.md"), text + "mine\n");
}

TEST(ModelCard, MetricsBecomeAModelIndex) {
  ModelCard card = garments();
  card.datasets = {"zalando-datasets/fashion_mnist"};
  card.results = {{"zalando-datasets/fashion_mnist", "64 test pictures", "test", {{"bits_per_dim", 2.5, "of 64"}}},
                  {"custom", "a: b", "", {{"fd_fmnist", 12, ""}}}};
  EXPECT_THAT(model_card_text(card),
              HasSubstr("datasets:\n- zalando-datasets/fashion_mnist\nmodel-index:\n- name: Garments\n  results:\n"
                        "  - task:\n      type: unconditional-image-generation\n    dataset:\n"
                        "      type: zalando-datasets/fashion_mnist\n      name: \"64 test pictures\"\n"
                        "      split: test\n    metrics:\n    - type: bits_per_dim\n      value: 2.5\n"
                        "      name: \"of 64\"\n  - task:\n      type: unconditional-image-generation\n"
                        "    dataset:\n      type: custom\n      name: \"a: b\"\n    metrics:\n"
                        "    - type: fd_fmnist\n      value: 12\n---\n"));
}

TEST(ModelCard, FrontMatterReadsTheFormsThatCardsUse) {
  const auto fields = parse_front_matter(
      "\xef\xbb\xbf---\r\nlicense: \"mit\" # free\r\n# note\r\ntags: [a, 'b c']\r\nlist:\r\n- x\r\n  - y\r\nmap:\r\n  "
      "inner: 1\r\n"
      "plain: a b  # c\r\n---\r\nbody: no\r\n");
  EXPECT_THAT(fields.at("license"), ElementsAre("mit"));
  EXPECT_THAT(fields.at("tags"), ElementsAre("a", "b c"));
  EXPECT_THAT(fields.at("list"), ElementsAre("x", "y"));
  EXPECT_THAT(fields.at("map"), ElementsAre());
  EXPECT_THAT(fields.at("plain"), ElementsAre("a b"));
  EXPECT_FALSE(fields.contains("body"));
}

TEST(ModelCard, TextThatYamlWouldMisreadComesBack) {
  for (const std::string license : {"a: b", "true", "1.0", "\"quoted\"", "# x", "é", "- x", "[a]"}) {
    ModelCard card;
    card.license = license;
    EXPECT_THAT(parse_front_matter(model_card_text(card)).at("license"), ElementsAre(license));
  }
}

TEST(ModelCard, WithoutFrontMatterThereIsNoLicense) {
  const TemporaryFolder dir;
  EXPECT_EQ(read_license(dir.path()), "");
  for (const std::string text :
       {"", "# Title\nlicense: mit\n", "---\nlicense: mit\n", "---\ntags:\n- a\n---\n", "---\nlicense:\n---\n"}) {
    write_file_atomic(dir / "README.md", text);
    EXPECT_EQ(read_license(dir.path()), "") << text;
  }
}

}  // namespace
}  // namespace unnoise
