#include "unnoise/nn/process_group.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "tests/nn/in_group.h"

namespace unnoise {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

/// Values that float32 sums differ in the last bits of, by their order.
std::vector<float> values_of_rank(int64_t rank, size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<float>(1000 * rank + static_cast<int64_t>(i)));
  return values;
}

class SumOver : public ::testing::TestWithParam<int64_t> {};

TEST_P(SumOver, GivesEveryMemberTheSameBits) {
  const int64_t size = GetParam();
  for (const size_t count : {size_t{0}, size_t{1}, size_t{7}, size_t{1'000'003}}) {
    std::vector<std::vector<float>> sums(static_cast<size_t>(size));
    const auto errors = in_group(size, [&](ProcessGroup& group) {
      auto values = values_of_rank(group.rank(), count);
      group.sum(values);
      sums[static_cast<size_t>(group.rank())] = values;
    });
    EXPECT_THAT(errors, Each(""));
    EXPECT_THAT(sums, Each(sums[0]));
    ASSERT_EQ(sums[0].size(), count);
    std::vector<double> expected(count);
    for (int64_t rank = 0; rank < size; ++rank) {
      const auto values = values_of_rank(rank, count);
      for (size_t i = 0; i < count; ++i) expected[i] += static_cast<double>(values[i]);
    }
    EXPECT_THAT(sums[0], ::testing::Pointwise(::testing::DoubleNear(1e-6 * static_cast<double>(size)), expected));
  }
}

INSTANTIATE_TEST_SUITE_P(Members, SumOver, ::testing::Values(1, 2, 3, 5));

TEST(ProcessGroup, AddsUpNumbersInTheOrderOfTheRanks) {
  std::vector<double> sums(3);
  in_group(3, [&](ProcessGroup& group) {
    const double mine[] = {1e16, 1.0, -1e16};
    sums[static_cast<size_t>(group.rank())] = group.sum(mine[group.rank()]);
  });
  EXPECT_THAT(sums, Each((1e16 + 1.0) - 1e16));
}

TEST(ProcessGroup, GathersByRankAndBroadcastsFromTheFirst) {
  const auto errors = in_group(3, [](ProcessGroup& group) {
    const Tensor mine = at::full({2, 3}, 10 * group.rank(), at::kLong);
    const auto all = group.gather(mine);
    for (int64_t rank = 0; rank < 3; ++rank)
      EXPECT_TRUE(at::equal(all[static_cast<size_t>(rank)], at::full({2, 3}, 10 * rank, at::kLong)));
    const Tensor strided = mine.t();
    group.broadcast(strided);
    EXPECT_TRUE(at::equal(mine, at::full({2, 3}, 0, at::kLong))) << group.rank();
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(ProcessGroup, LetsTheMainOneGoFirst) {
  std::atomic<bool> main_is_done = false;
  in_group(3, [&](ProcessGroup& group) {
    group.main_first([&] {
      if (!group.is_main()) EXPECT_TRUE(main_is_done);
      std::this_thread::sleep_for(std::chrono::milliseconds(group.is_main() ? 50 : 0));
      main_is_done = true;
      return 0;
    });
  });
}

TEST(ProcessGroup, WaitsForTheMainOneBeyondItsPatience) {
  const auto errors = in_group(
      2, [](ProcessGroup& group) { group.on_main([] { std::this_thread::sleep_for(std::chrono::seconds(2)); }); },
      std::chrono::seconds(1));
  EXPECT_THAT(errors, Each(""));
}

TEST(ProcessGroup, SaysWhoDoesNotComeBackToTheMainOne) {
  const auto errors = in_group(
      3,
      [](ProcessGroup& group) {
        if (group.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(8));
        if (group.rank() != 1) group.on_main([] {});
      },
      std::chrono::seconds(1));
  for (const int rank : {0, 2}) EXPECT_THAT(errors[rank], HasSubstr("process 1 of 3 has not answered for 1 s"));
}

TEST(ProcessGroup, SaysWhoHasEnded) {
  const auto errors = in_group(4, [](ProcessGroup& group) {
    if (group.rank() == 2) return;  // its connections close as those of a killed process do
    group.sum(1.0);
  });
  EXPECT_EQ(errors[2], "");
  for (const int rank : {0, 1, 3}) EXPECT_THAT(errors[rank], HasSubstr("process 2 of 4 has ended")) << rank;
}

TEST(ProcessGroup, RepeatsWhyTheFirstOneStopped) {
  const auto errors = in_group(4, [](ProcessGroup& group) {
    if (group.rank() == 1) throw data_error("the loss is not finite");
    group.sum(1.0);
  });
  for (const int rank : {0, 2, 3})
    EXPECT_THAT(errors[rank], HasSubstr("process 1 of 4 stopped: the loss is not finite")) << rank;
}

TEST(ProcessGroup, SaysWhoDoesNotAnswer) {
  const auto errors = in_group(
      3,
      [](ProcessGroup& group) {
        if (group.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(8));
        if (group.rank() != 1) group.sum(1.0);
      },
      std::chrono::seconds(1));
  for (const int rank : {0, 2}) EXPECT_THAT(errors[rank], HasSubstr("process 1 of 3 has not answered for 1 s"));
}

TEST(ProcessGroup, SaysWhoHasNotCome) {
  const ProcessPlace alone{.rank = 0, .world_size = 3, .master_port = a_free_port()};
  try {
    ProcessGroup group(alone, std::chrono::seconds(1));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::environment);
    EXPECT_THAT(e.message(), HasSubstr("there is still no process of rank 1, 2"));
  }
  const ProcessPlace second{.rank = 1, .world_size = 2, .master_port = a_free_port()};
  try {
    ProcessGroup group(second, std::chrono::seconds(1));
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.message(), HasSubstr("nobody listens at 127.0.0.1 port"));
  }
}

TEST(ProcessGroup, RefusesAPlaceThatIsNone) {
  EXPECT_THROW(ProcessGroup({.rank = 2, .world_size = 2}, std::chrono::seconds(1)), Error);
  EXPECT_THROW(
      ProcessGroup({.rank = 0, .world_size = 2, .master_addr = "no.such.machine.invalid"}, std::chrono::seconds(1)),
      Error);
}

// Whoever finds the port without the token is hung up on.
TEST(RingListener, TakesNoStrangers) {
  const int64_t port = a_free_port();
  const int server = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(server, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(server, 1), 0);
  const auto until = Clock::now() + std::chrono::seconds(20);
  const Socket master = connect_to("127.0.0.1", port, until);
  const RingListener listener(master, "127.0.0.1");
  EXPECT_THAT(listener.address(), HasSubstr("127.0.0.1 "));
  const Socket stranger = join_next(listener.address(), "wrong", until),
               member = join_next(listener.address(), "right", until);
  const Socket accepted = listener.accept("right", until);
  ASSERT_TRUE(accepted);
  const std::byte sent{42};
  std::byte received{0};
  std::span<const std::byte> out(&sent, 1);
  std::span<std::byte> in(&received, 1);
  EXPECT_EQ(exchange(member, out, accepted, in, std::chrono::seconds(5)), Exchange::done);
  EXPECT_EQ(received, sent);
  ::close(server);
}

}  // namespace
}  // namespace unnoise
