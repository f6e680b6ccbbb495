#include "uplink/remote_write.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/support/remote_write.h"
#include "uplink/prometheus_wire.h"

namespace tidegate::uplink::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using tidegate::testing::read_write_request;
using tidegate::testing::SeriesSeen;
using Point = std::tuple<std::string, std::int64_t, double>;  // tag, time, value

class RemoteWriteTest : public ::testing::Test {
 protected:
  RemoteWriteTest() { restart(); }

  void restart() { write_ = std::make_unique<RemoteWrite>(options_, "gw"); }

  static OutgoingBatch batch(const std::string& entries, std::uint32_t count = 10) {
    OutgoingBatch batch;
    batch.id = 1;
    batch.count = count;
    batch.payload = std::make_shared<const std::string>("{\"v\":1,\"sent\":5,\"readings\":[" + entries + "]}");
    return batch;
  }
  static std::string reading(const std::string& tag, std::int64_t time, const std::string& value,
                             const std::string& quality = "good") {
    return "{\"seq\":1,\"tag\":\"" + tag + "\",\"time\":" + std::to_string(time) + ",\"value\":" + value +
           ",\"quality\":\"" + quality + "\"}";
  }
  static HttpAnswer answer(long status, const std::string& body = "") {
    HttpAnswer answer;
    answer.status = status;
    answer.body = body;
    return answer;
  }
  // All that arrives of the batch at a server that refuses a request with one of these points.
  std::vector<Point> delivered(const OutgoingBatch& batch, const std::function<bool(const Point&)>& refuses) {
    std::vector<Point> taken;
    HttpVerdict verdict;
    verdict.again = true;
    while (verdict.again) {
      std::vector<Point> points;
      for (const SeriesSeen& series : read_write_request(*write_->body(batch))) {
        for (const auto& [time, value] : series.samples) points.emplace_back(series.labels.at("tag"), time, value);
      }
      ++requests_;
      const bool is_refused = std::any_of(points.begin(), points.end(), refuses);
      verdict = write_->judge(batch, is_refused ? answer(400, "out of order sample\n") : answer(204));
      EXPECT_NE(verdict.again, verdict.acknowledged);
      if (!is_refused) taken.insert(taken.end(), points.begin(), points.end());
    }
    return taken;
  }

  HttpUplinkOptions options_;
  std::unique_ptr<RemoteWrite> write_;
  std::uint64_t requests_ = 0;
};

TEST_F(RemoteWriteTest, AReadingIsASampleOfASeriesThatItsTagNames) {
  const auto series = read_write_request(
      *write_->body(batch(reading("plant/b 1/temp", 1000, "21.5") + "," + reading("run", -5, "true") + "," +
                          reading("plant/b 1/temp", 999, "-3") + "," + reading("9/ü-1", 0, "18446744073709551615"))));
  ASSERT_EQ(series.size(), 3U);
  EXPECT_THAT(series[0].labels, ElementsAre(Pair("__name__", "___1"), Pair("gateway", "gw"), Pair("tag", "9/ü-1")));
  EXPECT_THAT(series[0].samples, ElementsAre(Pair(0, 18446744073709551615.0)));
  EXPECT_THAT(series[1].labels,
              ElementsAre(Pair("__name__", "temp"), Pair("gateway", "gw"), Pair("tag", "plant/b 1/temp")));
  EXPECT_THAT(series[1].samples, ElementsAre(Pair(999, -3.0), Pair(1000, 21.5))) << "in the order of time";
  EXPECT_THAT(series[2].samples, ElementsAre(Pair(-5, 1.0)));
  EXPECT_EQ(write_->left_out(), 0U);
}

TEST_F(RemoteWriteTest, WhatIsNoNumberOrBadIsLeftOutAndCounted) {
  const auto series =
      read_write_request(*write_->body(batch(reading("a", 1, "\"text\"") + "," + reading("a", 2, "null", "bad") + "," +
                                             reading("a", 3, "7", "bad") + "," + reading("a", 4, "8", "uncertain"))));
  ASSERT_EQ(series.size(), 1U);
  EXPECT_THAT(series[0].samples, ElementsAre(Pair(4, 8.0)));
  EXPECT_EQ(write_->left_out(), 3U);
  EXPECT_EQ(*write_->body([] {
    OutgoingBatch other = batch(reading("a", 1, "\"text\""));
    other.id = 2;
    return other;
  }()),
            "");
}

TEST_F(RemoteWriteTest, OfSeveralInAMillisecondTheLastOneCounts) {
  const auto series = read_write_request(*write_->body(batch(reading("a", 1, "1") + "," + reading("a", 1, "2"))));
  EXPECT_THAT(series.at(0).samples, ElementsAre(Pair(1, 2.0)));
  EXPECT_EQ(write_->left_out(), 1U);
}

TEST_F(RemoteWriteTest, SamplesThatAreRefusedForTheirTimeAreLeftOutAndNothingElse) {
  std::string entries;
  for (int i = 0; i < 100; ++i) entries += (i == 0 ? "" : ",") + reading("t" + std::to_string(i % 7), i, "1");
  for (const std::vector<int>& bad :
       std::vector<std::vector<int>>{{}, {0}, {99}, {50}, {3, 4, 77}, {1, 2, 3, 4, 5, 6, 7}}) {
    restart();
    requests_ = 0;
    const auto taken = delivered(batch(entries), [&](const Point& point) {
      return std::find(bad.begin(), bad.end(), std::get<1>(point)) != bad.end();
    });
    EXPECT_EQ(taken.size(), 100 - bad.size());
    EXPECT_EQ(write_->left_out(), bad.size());
    EXPECT_LE(requests_, 1 + bad.size() * 14);
    std::map<std::string, std::int64_t> newest;
    for (const auto& [tag, time, value] : taken) {
      const auto [at, is_new] = newest.try_emplace(tag, time);
      EXPECT_TRUE(is_new || time > at->second) << "a series stays in order";
      at->second = time;
    }
  }
  restart();
  EXPECT_TRUE(delivered(batch(entries), [](const Point&) { return true; }).empty());
  EXPECT_EQ(write_->left_out(), 100U);
}

TEST_F(RemoteWriteTest, WhatIsRefusedOtherwiseIsARefusal) {
  ASSERT_TRUE(write_->body(batch(reading("a", 1, "1"))));
  const HttpVerdict verdict = write_->judge(batch(""), answer(400, "invalid label name"));
  EXPECT_FALSE(verdict.again);
  EXPECT_EQ(verdict.failure.refusal, "400: invalid label name");
  ASSERT_TRUE(write_->body(batch(reading("a", 1, "1"))));
  EXPECT_FALSE(write_->judge(batch(""), answer(503)).acknowledged);
  EXPECT_EQ(write_->left_out(), 0U);
}

// A batch is acknowledged when all of its parts are, and begins anew when one failed.
TEST_F(RemoteWriteTest, AFailureBetweenTwoPartsBeginsTheBatchAnew) {
  const std::string entries = reading("a", 1, "1") + "," + reading("a", 2, "2");
  ASSERT_TRUE(write_->body(batch(entries)));
  EXPECT_TRUE(write_->judge(batch(entries), answer(400, "out of order sample")).again);
  EXPECT_EQ(read_write_request(*write_->body(batch(entries))).at(0).samples.size(), 1U);
  EXPECT_FALSE(write_->judge(batch(entries), answer(500)).again);
  EXPECT_EQ(read_write_request(*write_->body(batch(entries))).at(0).samples.size(), 2U);
}

TEST(PrometheusWireTest, ABlockOfAnyLengthIsReadBack) {
  for (const std::size_t size : {0U, 1U, 59U, 60U, 61U, 65535U, 65536U, 65537U, 200000U}) {
    RemoteSeries series;
    const std::string value(size, 'x');
    series.labels = {{"__name__", value}};
    std::string request;
    append_series(request, series);
    EXPECT_EQ(read_write_request(snappy_block(request)).at(0).labels.at("__name__"), value) << size;
  }
  EXPECT_TRUE(read_write_request(snappy_block("")).empty());
}

TEST(PrometheusWireTest, ANameHasWhatPrometheusAllows) {
  EXPECT_EQ(metric_name("", "boiler/temp"), "temp");
  EXPECT_EQ(metric_name("plant_", "boiler/temp:1"), "plant_temp:1");
  EXPECT_EQ(metric_name("", "a/4-20 mA"), "_4_20_mA");
  EXPECT_EQ(metric_name("x_", "a/4"), "x_4");
  EXPECT_EQ(metric_name("", "a/"), "_");
}

}  // namespace
}  // namespace tidegate::uplink::testing
