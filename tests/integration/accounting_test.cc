#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <sstream>

#include "tests/integration/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

// With 400 readings a second of each device.
std::string body_of(int devices) {
  return "[buffer]\nsize = \"1MiB\"\n"
         "[[driver.simulator]]\nname = \"sim\"\ndevices = " +
         std::to_string(devices) +
         "\ntags = 40\ninterval = \"100ms\"\n"
         "[[uplink.file]]\nname = \"export\"\npath = \"{dir}/out/all.ndjson\"\n"
         "[[uplink.file]]\nname = \"part\"\npath = \"{dir}/part.ndjson\"\ntags = [\"sim-1/*\"]\n";
}

const std::string kLaterEpoch = "4294967295:1";

/// The real daemon with a simulator and two uplinks to files, one of them with a filter; its accounts as /metrics has
/// them. The first uplink is down while a file stands where its directory should.
class AccountingShort : public ::testing::Test {
 protected:
  AccountingShort() {
    gateway.configure(body_of(100));
    uplink_up();
  }

  void uplink_up() {
    std::filesystem::remove(out());
    std::filesystem::create_directory(out());
  }
  void uplink_down() {
    if (std::filesystem::exists(out())) std::filesystem::rename(out(), out() + "-" + std::to_string(++outages_));
    write_file(out(), "in the way");
  }
  std::string out() const { return gateway.directory() + "/out"; }

  double term(const std::string& name, const std::string& uplink, const std::string& reason = "") const {
    const std::string more = reason.empty() ? "" : ",reason=\"" + reason + "\"";
    return gateway.metric(name + "{stream=\"readings\",uplink=\"" + uplink + "\"" + more + "}");
  }
  double delivered(const std::string& uplink) const {
    return gateway.metric("tidegate_readings_delivered_total{uplink=\"" + uplink + "\",stream=\"readings\"}");
  }
  double stored() const { return gateway.metric("tidegate_log_stored_readings{stream=\"readings\"}"); }
  double backlog(const std::string& uplink) const {
    return gateway.metric("tidegate_uplink_backlog_readings{uplink=\"" + uplink + "\",stream=\"readings\"}");
  }

  // accepted + replayed = delivered + filtered + pending + dropped, of one answer, for every uplink and stream.
  void expect_balanced(const std::string& when) const {
    std::map<std::string, double> left;
    std::istringstream lines(http_get(gateway.admin_port(), "/metrics").body);
    std::size_t checked = 0;
    for (std::string line; std::getline(lines, line);) {
      const auto value_at = line.rfind(' ');
      const double value = value_at == std::string::npos ? 0 : std::strtod(line.c_str() + value_at, nullptr);
      const std::string where = label(line, "uplink") + "/" + label(line, "stream");
      if (line.starts_with("tidegate_uplink_accepted_total{")) {
        left[where] += value;
        ++checked;
      }
      if (line.starts_with("tidegate_readings_replayed_total{")) left[where] += value;
      for (const char* term : {"tidegate_readings_delivered_total{", "tidegate_readings_filtered_total{",
                               "tidegate_readings_dropped_total{", "tidegate_uplink_backlog_readings{"}) {
        if (line.starts_with(term)) left[where] -= value;
      }
      if (line.starts_with("tidegate_uplink_account_mismatch{")) {
        EXPECT_EQ(value, 0) << when << ": " << line;
      }
    }
    EXPECT_EQ(checked, 6u);
    for (const auto& [where, value] : left) EXPECT_EQ(value, 0) << when << ": " << where;
  }

  /// Asks again, as the answer says, while a slow disk has the log take no records.
  FinishedProcess replay(const std::string& from, const std::string& uplink = "export",
                         const std::string& stream = "readings", const std::string& skip = "--no-skip") const {
    const std::vector<std::string> words{"replay",   "--uplink", uplink, "--from",   from,
                                         "--stream", stream,     skip,   "--config", gateway.config_file()};
    FinishedProcess done;
    (void)wait_until(
        [&] {
          done = gateway.command(words);
          return done.errors.find("answered 503") == std::string::npos;
        },
        seconds(60));
    return done;
  }
  FinishedProcess replay_and_skip(const std::string& from) const {
    return replay(from, "export", "readings", "--skip");
  }
  /// On a terminal, where that is what is typed.
  FinishedProcess replay_at_terminal(const std::string& from, const std::string& typed) const {
    const std::string command =
        program_path() + " replay --uplink export --from " + from + " --config " + gateway.config_file();
    return run_to_end(
        {"/bin/sh", "-c", "echo " + typed + " | script --quiet --return --command '" + command + "' /dev/null"}, {},
        seconds(60));
  }
  double skipped() const { return term("tidegate_readings_dropped_total", "export", "skipped"); }
  /// Of the log, as the gateway tells it.
  std::string epoch() const {
    const std::string answer = records("readings", "oldest");
    const std::string before = "\"epoch\":";
    const auto at = answer.find(before);
    if (at == std::string::npos) return "no epoch in " + answer;
    const auto digits = at + before.size();
    return answer.substr(digits, answer.find(',', digits) - digits);
  }
  std::string records(const std::string& stream, const std::string& from) const {
    return http_get(gateway.admin_port(), "/api/v1/records?stream=" + stream + "&from=" + from).body;
  }
  bool wait_for_delivered(const std::string& uplink, double least) const {
    return wait_until([&] { return delivered(uplink) >= least; }, seconds(60));
  }

  GatewayProcess gateway;

 private:
  static std::string label(const std::string& line, const std::string& name) {
    const auto at = line.find(name + "=\"");
    if (at == std::string::npos) return "";
    const auto begin = at + name.size() + 2;
    return line.substr(begin, line.find('"', begin) - begin);
  }
  int outages_ = 0;
};

TEST_F(AccountingShort, HoldsThroughOutageKillReplayAndSkip) {
  gateway.configure(body_of(20));
  gateway.start();
  ASSERT_TRUE(wait_for_delivered("export", 10'000)) << gateway.log();
  expect_balanced("running");
  uplink_down();
  expect_balanced("down");
  gateway.kill();
  gateway.start();
  expect_balanced("killed");
  uplink_up();
  const double before = delivered("export");
  ASSERT_TRUE(wait_for_delivered("export", before + 10'000));
  expect_balanced("after the outage");

  // What is delivered already is what a replay counts: where the uplink is slow, that may long be nothing of the ring.
  ASSERT_TRUE(wait_until([&] { return backlog("export") < stored() / 4; }, seconds(60)));
  const auto again = replay("oldest");
  EXPECT_EQ(again.end.exit_code, 0) << again.errors << gateway.log();
  expect_balanced("replayed");
  const double replayed = term("tidegate_readings_replayed_total", "export");
  EXPECT_GT(replayed, 0);
  EXPECT_EQ(replay("-1h", "part").end.exit_code, 0);
  expect_balanced("replayed the other");
  gateway.kill();
  gateway.start();
  EXPECT_GE(term("tidegate_readings_replayed_total", "export"), replayed) << "it was durable when it was answered";
  expect_balanced("killed after the replay");

  gateway.stop();  // the file is open
  uplink_down();
  gateway.start();
  ASSERT_TRUE(wait_until([&] { return backlog("export") > 2'000; }, seconds(60)));
  const double skipped_before = skipped();
  const auto asked = replay("end");
  EXPECT_EQ(asked.end.exit_code, 1);
  EXPECT_THAT(asked.errors, ContainsRegex("uplink export stands at [0-9:]+ of readings, before [0-9:]+: [0-9]+ "
                                          "records in between, not delivered yet, would be skipped"));
  EXPECT_THAT(asked.errors, HasSubstr("; with --skip it is done"));
  const auto denied = replay_at_terminal("end", "n");
  EXPECT_EQ(denied.end.exit_code, 1);
  EXPECT_THAT(denied.output, ContainsRegex("would be skipped and never be sent to it.*Skip them"));
  EXPECT_EQ(skipped(), skipped_before);
  const auto skip = replay_and_skip("end");
  EXPECT_EQ(skip.end.exit_code, 0) << skip.errors;
  EXPECT_GE(skipped(), 2'000);
  expect_balanced("skipped");
  const auto events =
      gateway.command({"tail", "--stream", "events", "--from", "oldest", "--config", gateway.config_file()});
  EXPECT_THAT(events.output, HasSubstr("\"reason\":\"skipped\",\"uplink\":\"export\""));
  gateway.stop();
  gateway.start();
  EXPECT_GE(skipped(), 2'000);
  expect_balanced("started again");
}

TEST_F(AccountingShort, HoldsWhenATinyRingOverflows) {
  constexpr double kHeldMost = 9 * 500;  // read before they were evicted, and still to be sent
  uplink_down();
  gateway.start();
  // Far more than the uplink has read ahead and holds, which is not lost to it.
  ASSERT_TRUE(wait_until(
      [&] {
        const double left = stored();
        return left >= 0 && gateway.metric("tidegate_readings_accepted_total{driver=\"sim\"}") - left > 50'000;
      },
      seconds(100)));
  // What the ring has overwritten shows while the uplink is down, before it comes to read that place.
  const double lost = term("tidegate_readings_dropped_total", "export", "overflow");
  EXPECT_GT(lost, 40'000) << http_get(gateway.admin_port(), "/metrics").body << gateway.log();
  EXPECT_GE(gateway.metric("tidegate_log_dropped_readings_total"), lost);
  EXPECT_GE(gateway.metric("tidegate_log_evicted_total{stream=\"readings\",reason=\"overflow\"}"), lost);
  const double pending = backlog("export");
  EXPECT_LE(pending, stored() + kHeldMost);
  expect_balanced("overflowing");
  uplink_up();
  ASSERT_TRUE(wait_for_delivered("export", 1'000)) << gateway.log();
  EXPECT_GE(term("tidegate_readings_dropped_total", "export", "overflow"), lost);
  expect_balanced("overflowed");
  gateway.kill();
  gateway.start();
  expect_balanced("killed");
}

// The backlog is so slow that it goes beside what is current to the end.
class AccountingLiveFirstShort : public AccountingShort {
 protected:
  AccountingLiveFirstShort() {
    const std::string order = "order = \"live-first\"\nbackfill_rate = \"300/s\"\nretry_most = \"1s\"\n";
    gateway.configure(
        "[buffer]\nsize = \"1MiB\"\n"
        "[[driver.simulator]]\nname = \"sim\"\ndevices = 20\ntags = 10\ninterval = \"200ms\"\n"
        "[[uplink.file]]\nname = \"export\"\npath = \"{dir}/out/all.ndjson\"\n" +
        order + "[[uplink.file]]\nname = \"part\"\npath = \"{dir}/out/part.ndjson\"\ntags = [\"sim-1/*\"]\n" + order);
  }
  // Of one uplink: the other, with a filter, is through with its backlog in a second, perhaps before that one is back.
  bool wait_for_two_lanes() const {
    const auto is_there = [&] {
      return http_get(gateway.admin_port(), "/api/v1/status").body.find("skipped_stretches") != std::string::npos;
    };
    return wait_until(is_there, seconds(60));
  }
  void go_through_an_outage() {
    uplink_down();
    ASSERT_TRUE(wait_until(
        [&] {
          return gateway.metric("tidegate_uplink_delay_seconds{uplink=\"export\"}") > 8 &&
                 gateway.metric("tidegate_uplink_delay_seconds{uplink=\"part\"}") > 8;
        },
        seconds(60)))
        << gateway.log();
    expect_balanced("down");
    uplink_up();
    ASSERT_TRUE(wait_for_two_lanes()) << gateway.log();
    expect_balanced("both lanes");
  }
};

TEST_F(AccountingLiveFirstShort, HoldsInTwoLanesThroughOutagesKillReplayAndSkip) {
  gateway.start();
  ASSERT_TRUE(wait_for_delivered("export", 500)) << gateway.log();
  go_through_an_outage();
  const double before = delivered("export");
  ASSERT_TRUE(wait_for_delivered("export", before + 1'000));
  expect_balanced("both lanes going");
  gateway.kill();
  gateway.start();
  expect_balanced("killed");
  ASSERT_TRUE(wait_for_two_lanes()) << gateway.log();
  const auto again = replay_and_skip("-9s");
  EXPECT_EQ(again.end.exit_code, 0) << again.errors << gateway.log();
  expect_balanced("replayed");
  EXPECT_EQ(replay("oldest", "part").end.exit_code, 0);
  expect_balanced("replayed the other");
  ASSERT_TRUE(wait_for_two_lanes()) << "the replay is a backlog: " << gateway.log();
  gateway.kill();
  gateway.start();
  ASSERT_TRUE(wait_for_two_lanes()) << gateway.log();
  EXPECT_EQ(replay_and_skip("end").end.exit_code, 0);
  expect_balanced("skipped");
}

TEST_F(AccountingShort, ShowsAFileThatCannotBeWrittenAndLosesNothing) {
  const std::string up = "tidegate_uplink_up{uplink=\"export\"}";
  gateway.start();
  ASSERT_TRUE(wait_for_delivered("export", 1'000));
  EXPECT_EQ(gateway.metric(up), 1);
  uplink_down();
  ASSERT_TRUE(wait_until([&] { return gateway.metric(up) == 0; }, seconds(30))) << gateway.log();
  const auto status = gateway.command({"status", "--config", gateway.config_file()});
  EXPECT_THAT(status.output, ContainsRegex("uplink export +DOWN .*out/all.ndjson: Not a directory"));
  EXPECT_THAT(status.output, ContainsRegex("uplink part +up"));
  expect_balanced("down");
  const double before = delivered("export");
  uplink_up();
  ASSERT_TRUE(wait_until([&] { return gateway.metric(up) == 1; }, seconds(30))) << gateway.log();
  ASSERT_TRUE(wait_for_delivered("export", before + 1'000));
  expect_balanced("up again");
  const auto told = gateway.tail("events", "\"uplink\":\"export\"");
  ASSERT_EQ(told.size(), 3U) << ::testing::PrintToString(told);
  EXPECT_THAT(told[0], HasSubstr("\"event\":\"uplink-up\""));
  EXPECT_THAT(told[1], HasSubstr("\"event\":\"uplink-down\""));
  EXPECT_THAT(told[1], HasSubstr("Not a directory"));
  EXPECT_THAT(told[2], HasSubstr("\"event\":\"uplink-up\""));
  gateway.stop();
}

TEST_F(AccountingShort, SaysWhatIsGoneWhenAReplayBeginsBeforeTheLog) {
  gateway.start();
  ASSERT_TRUE(
      wait_until([&] { return records("readings", "1").find("\"missing\":") != std::string::npos; }, seconds(60)))
      << records("readings", "1");
  const auto again = replay("1:1");
  EXPECT_EQ(again.end.exit_code, 0) << again.errors;
  EXPECT_THAT(again.errors, HasSubstr("1:1 is gone: the log begins at " + epoch() + ":"));
  EXPECT_THAT(again.errors, HasSubstr("are not to be had any more"));
  EXPECT_THAT(replay("7").errors, HasSubstr("7 is gone"));
  EXPECT_THAT(replay("-1h").errors, HasSubstr("what was taken in before that is gone"));
  EXPECT_EQ(replay("oldest").errors, "") << "all that was asked for";
  EXPECT_EQ(replay_and_skip("end").errors, "");
  EXPECT_EQ(replay("1", "export", "events").errors, "");
  expect_balanced("replayed");
}

TEST_F(AccountingShort, RefusesToReadPlacesThatCannotBe) {
  gateway.start();
  ASSERT_TRUE(wait_for_delivered("export", 1));
  for (const std::string& place : {kLaterEpoch, epoch() + ":999999999", std::string("999999999")}) {
    EXPECT_THAT(records("readings", place), HasSubstr("from " + place + " lies beyond the log: the stream readings"));
  }
  EXPECT_THAT(records("readings", "2100-01-01T00:00:00Z"), HasSubstr("lies in the future"));
  EXPECT_THAT(records("readings", "soon"), HasSubstr("allowed are EPOCH:SEQUENCE"));
  EXPECT_THAT(records("smells", "1"), HasSubstr("stream \\\"smells\\\": allowed are"));
  EXPECT_THAT(records("readings", "1&limit=0"), HasSubstr("limit \\\"0\\\": a whole number"));
  EXPECT_EQ(http_get(gateway.admin_port(), "/api/v1/records?from=" + kLaterEpoch).status, 400);
  // Places where nothing is yet.
  EXPECT_THAT(records("alarms", "end"), HasSubstr("\"end\":true"));
  EXPECT_THAT(records("alarms", "-1s"), HasSubstr("\"end\":true"));
  EXPECT_THAT(records("alarms", "1"), HasSubstr("\"end\":true"));
}

TEST_F(AccountingShort, RefusesAReplayThatCannotBe) {
  gateway.start();
  ASSERT_TRUE(wait_for_delivered("export", 1));
  EXPECT_THAT(replay("oldest", "nowhere").errors, HasSubstr("there are: export part"));
  EXPECT_THAT(replay("oldest", "export", "smells").errors, HasSubstr("readings, alarms, events"));
  EXPECT_THAT(replay(kLaterEpoch).errors, HasSubstr("beyond the log"));
  EXPECT_THAT(replay("999999999").errors, HasSubstr("beyond the log"));
  EXPECT_THAT(replay("2100-01-01T00:00:00Z").errors, HasSubstr("no record was taken in"));
  EXPECT_THAT(replay("soon").errors, HasSubstr("soon"));
  EXPECT_EQ(replay("soon").end.exit_code, 1);
  EXPECT_EQ(http_get(gateway.admin_port(), "/api/v1/uplinks/export/replay").status, 405);
  EXPECT_EQ(term("tidegate_readings_replayed_total", "export"), 0);
  expect_balanced("refused");
}

}  // namespace
}  // namespace tidegate::testing
