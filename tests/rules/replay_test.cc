#include <algorithm>
#include <random>

#include "tests/rules/engine_fixture.h"

namespace tidegate::rules::testing {
namespace {

/// What reaches an engine, in order: a frame of the log, or a tick, which the log does not hold.
struct Event {
  bool is_tick = false;
  std::uint32_t boot = 0;  // which boot, counted from 0
  RecordBatch frame;       // a tick uses its times and boot id only
};

struct NamedReading {
  std::string tag;
  Reading reading;
};

/// The story of one gateway: its rules, and everything that its engine is told. Frames name tags by index into kTags.
struct Story {
  std::vector<RuleOptions> rules;
  std::vector<Event> events;
};

constexpr const char* kTags[] = {"boiler/a", "boiler/b", "boiler/c", "pump/a"};

std::vector<RuleOptions> story_rules() {
  RuleOptions hot = with_delays(threshold("> 90", "< 60"), seconds(7), seconds(5));
  RuleOptions warm = threshold("> 50");
  warm.name = "warm";
  warm.tags = {"*/a"};
  RuleOptions slow = with_delays(threshold(">= 50"), seconds(20));
  slow.name = "slow";
  RuleOptions odd = with_delays(anomaly(6, 1.5), seconds(3), seconds(2));
  return {hot, warm, slow, odd};
}

/// By what the reboots of a story can be noticed.
enum class Reboots { none, by_time, by_id };

class StoryTeller {
 public:
  explicit StoryTeller(std::uint64_t seed) : random_(seed) {}

  /// `events` events; from event `crash` on, frames are of the next epoch.
  Story tell(std::size_t events, std::size_t crash, Reboots reboots) {
    Story story{story_rules(), {}};
    for (std::size_t i = 0; i < events; ++i) {
      if (reboots != Reboots::none && i != crash && elapsed_ > seconds(30) && below(6) == 0) reboot(reboots);
      elapsed_ += milliseconds(below(5) == 0 ? 0 : below(6000));
      Event event;
      event.boot = boot_;
      event.is_tick = below(3) == 0;
      if (reboots == Reboots::by_id) event.frame.boot_id[0] = static_cast<std::uint8_t>(boot_ + 1);
      event.frame.times = {kWallStart + wall_offset_ + elapsed_, kBootStart + elapsed_, ClockQuality::synced};
      event.frame.epoch = i < crash ? 1 : 2;
      event.frame.first = sequence_;
      if (!event.is_tick) fill(event.frame);
      story.events.push_back(std::move(event));
    }
    return story;
  }

 private:
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }

  // By time: the new boot's first frame has a boot time in front of the old boot's last one. By id: the new boot is
  // older already than the old one was.
  void reboot(Reboots reboots) {
    const Duration before = elapsed_;
    elapsed_ = reboots == Reboots::by_time ? elapsed_ / 8 : elapsed_ + seconds(20);
    wall_offset_ += before + seconds(100);
    ++boot_;
  }

  void fill(RecordBatch& frame) {
    for (std::uint64_t count = 1 + below(3); count != 0; --count) {
      Reading& reading = frame.readings.emplace_back();
      reading.tag = TagId{static_cast<std::uint32_t>(below(std::size(kTags)))};
      reading.time = frame.times.wall - milliseconds(below(3) * 1000);
      reading.value = level();
      const std::uint64_t kind = below(12);
      if (kind == 0) reading.quality = Quality::bad;
      if (kind == 1) reading.quality = Quality::uncertain;
      if (kind == 2) reading.value = Value{};
      if (kind == 3) reading.value = std::string("91");
      ++sequence_;
    }
  }

  Value level() {
    constexpr std::int64_t kLevels[] = {95, 95, 91, 90, 70, 55, 50, 20};
    const std::int64_t level = kLevels[below(std::size(kLevels))];
    if (below(4) == 0) return level;
    return static_cast<double>(level) + 0.125 * static_cast<double>(below(8));
  }

  std::mt19937_64 random_;
  Duration elapsed_{};
  Duration wall_offset_{};
  std::uint32_t boot_ = 0;
  std::uint64_t sequence_ = 1;
};

/// One process: an engine and a tag registry of its own, in which the tags have other numbers each time.
class Process {
 public:
  Process(const Story& story, std::uint64_t shuffle) : story_(story) {
    std::vector<std::string> names(std::begin(kTags), std::end(kTags));
    std::mt19937_64 random(shuffle);
    std::shuffle(names.begin(), names.end(), random);
    if (shuffle % 3 != 0) tags_.intern("elsewhere/first");
    for (const std::string& name : names) tags_.intern(name);
    engine_ = std::make_unique<RuleEngine>(story.rules, tags_);
  }

  void take(const Event& event, std::vector<AlarmTransition>& out) {
    if (event.is_tick) {
      engine_->tick(event.frame.times, event.frame.boot_id, out);
    } else {
      engine_->apply(renumbered(event.frame), out);
    }
  }
  RuleEngine& engine() { return *engine_; }

 private:
  RecordBatch renumbered(RecordBatch frame) {
    for (Reading& reading : frame.readings) {
      reading.tag = tags_.intern(kTags[static_cast<std::size_t>(reading.tag)]);
    }
    return frame;
  }

  const Story& story_;
  TagRegistry tags_;
  std::unique_ptr<RuleEngine> engine_;
};

/// The run that nothing happens to, and all that a crash may leave behind of it.
struct WholeRun {
  std::vector<std::string> alarms;        // documents
  std::vector<AlarmTransition> logged;    // the same, read back
  std::vector<std::size_t> alarms_after;  // how many there are after so many events
  std::vector<std::string> states;        // save() after so many events
};

WholeRun run_whole(const Story& story) {
  Process process(story, 0);
  WholeRun run;
  std::vector<AlarmTransition> out;
  for (std::size_t i = 0; i <= story.events.size(); ++i) {
    run.alarms_after.push_back(out.size());
    run.states.push_back(process.engine().save());
    if (i < story.events.size()) process.take(story.events[i], out);
  }
  for (const AlarmTransition& transition : out) {
    run.alarms.push_back(to_document(transition));
    const auto read_back = parse_alarm_document(run.alarms.back());
    EXPECT_TRUE(read_back) << run.alarms.back();
    run.logged.push_back(read_back.value_or(AlarmTransition{}));
  }
  return run;
}

/// Where a run was cut: `crash` events were taken, the checkpoint is of `checkpoint` events, the log holds `alarms`.
struct Crash {
  std::size_t crash = 0;
  std::size_t checkpoint = 0;
  std::size_t alarms = 0;
};

void append(std::vector<std::string>& stream, const std::vector<AlarmTransition>& out) {
  for (const AlarmTransition& transition : out) stream.push_back(to_document(transition));
}

/// The alarm stream after a crash, a restart and the rest of the story.
std::vector<std::string> run_crashed(const Story& story, const WholeRun& whole, const Crash& crash,
                                     std::size_t tail_first) {
  Process process(story, crash.crash * 7 + crash.checkpoint);
  EXPECT_TRUE(process.engine().restore(whole.states[crash.checkpoint]));
  std::vector<std::string> stream(whole.alarms.begin(),
                                  whole.alarms.begin() + static_cast<std::ptrdiff_t>(crash.alarms));
  for (std::size_t i = tail_first; i < stream.size(); ++i) process.engine().observe_logged(whole.logged[i]);
  std::vector<AlarmTransition> out;
  for (std::size_t i = crash.checkpoint; i < crash.crash; ++i) {
    if (!story.events[i].is_tick) process.take(story.events[i], out);
  }
  if (crash.crash != 0) {
    const RecordBatch& last = story.events[crash.crash - 1].frame;
    process.engine().tick(last.times, last.boot_id, out);
  }
  for (std::size_t i = crash.crash; i < story.events.size(); ++i) process.take(story.events[i], out);
  append(stream, out);
  return stream;
}

// After an orderly stop everything is in the log; what a tick of an earlier boot raised cannot be found out again.
std::size_t logged_at_least(const Story& story, const WholeRun& whole, const Crash& crash) {
  std::size_t least = whole.alarms_after[crash.checkpoint];
  for (std::size_t i = crash.checkpoint; i + 1 < crash.crash; ++i) {
    if (story.events[i + 1].boot != story.events[i].boot) least = whole.alarms_after[i + 1];
  }
  return least;
}

void try_every_crash(std::uint64_t seed, std::size_t events, Reboots reboots) {
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  Crash at;
  for (at.crash = 0; at.crash <= events; ++at.crash) {
    const Story story = StoryTeller(seed).tell(events, at.crash, reboots);
    const WholeRun whole = run_whole(story);
    for (at.checkpoint = 0; at.checkpoint <= at.crash; ++at.checkpoint) {
      const std::size_t least = logged_at_least(story, whole, at);
      for (at.alarms = least; at.alarms <= whole.alarms_after[at.crash]; ++at.alarms) {
        for (const std::size_t tail_first : {std::size_t{0}, std::min(whole.alarms_after[at.checkpoint], at.alarms)}) {
          ASSERT_EQ(run_crashed(story, whole, at, tail_first), whole.alarms)
              << "crash after " << at.crash << " events, checkpoint after " << at.checkpoint << ", " << at.alarms
              << " alarms in the log, tail from " << tail_first;
        }
      }
    }
  }
}

TEST(Replay, after_a_crash_at_any_point_repeats_no_alarm_and_forgets_none) {
  std::size_t alarms = 0;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    alarms += run_whole(StoryTeller(seed).tell(26, 26, Reboots::none)).alarms.size();
    try_every_crash(seed, 26, Reboots::none);
  }
  EXPECT_GT(alarms, 25U) << "stories without alarms show nothing";
}

TEST(Replay, does_the_same_over_reboots) {
  for (const Reboots reboots : {Reboots::by_time, Reboots::by_id}) {
    for (std::uint64_t seed = 101; seed <= 102; ++seed) {
      EXPECT_GT(StoryTeller(seed).tell(32, 32, reboots).events.back().boot, 0U) << "seed " << seed << " has no reboot";
      try_every_crash(seed, 32, reboots);
    }
  }
}

TEST(Replay, gives_the_same_alarms_without_any_tick_once_a_later_frame_has_come) {
  for (std::uint64_t seed = 201; seed <= 260; ++seed) {
    Story story = StoryTeller(seed).tell(80, 80, Reboots::none);
    const std::vector<std::string> with_ticks = run_whole(story).alarms;
    const Event last = story.events.back();
    story.events.erase(
        std::remove_if(story.events.begin(), story.events.end(), [](const Event& e) { return e.is_tick; }),
        story.events.end());
    if (last.is_tick) story.events.push_back(last);
    ASSERT_EQ(run_whole(story).alarms, with_ticks) << "seed " << seed;
  }
}

TEST(Replay, does_not_depend_on_how_frames_are_cut) {
  for (std::uint64_t seed = 301; seed <= 330; ++seed) {
    const Story story = StoryTeller(seed).tell(60, 60, Reboots::by_time);
    const std::vector<std::string> whole = run_whole(story).alarms;
    Process process(story, seed);
    std::vector<AlarmTransition> out;
    for (const Event& event : story.events) {
      if (event.is_tick) {
        process.take(event, out);
        continue;
      }
      for (std::size_t i = 0; i < event.frame.readings.size(); ++i) {
        Event part = event;
        part.frame.first += i;
        part.frame.readings = {event.frame.readings[i]};
        process.take(part, out);
      }
    }
    std::vector<std::string> stream;
    append(stream, out);
    ASSERT_EQ(stream, whole) << "seed " << seed;
  }
}

TEST(Replay, from_the_beginning_without_any_saved_state_repeats_nothing) {
  for (std::uint64_t seed = 401; seed <= 420; ++seed) {
    const Story story = StoryTeller(seed).tell(60, 60, Reboots::none);
    const WholeRun whole = run_whole(story);
    const Crash crash{50, 0, whole.alarms_after[50]};
    ASSERT_EQ(run_crashed(story, whole, crash, 0), whole.alarms) << "seed " << seed;
  }
}

/// Every alarm of the stream rises and clears by turns, and a clear names the raise it ends.
void expect_turns(const std::vector<std::string>& stream) {
  std::map<std::string, Position> raised;
  for (const std::string& document : stream) {
    const auto transition = parse_alarm_document(document);
    ASSERT_TRUE(transition);
    const auto found = raised.find(transition->alarm);
    if (transition->state == AlarmState::raised) {
      ASSERT_EQ(found, raised.end()) << "raised twice: " << document;
      raised[transition->alarm] = transition->occurrence;
    } else {
      ASSERT_NE(found, raised.end()) << "cleared without a raise: " << document;
      ASSERT_EQ(found->second, transition->occurrence) << document;
      raised.erase(found);
    }
  }
}

// The alarm was durable, the readings behind it were not: the log is then the only one to know of it.
TEST(Replay, takes_over_alarms_whose_readings_were_lost) {
  for (std::uint64_t seed = 501; seed <= 505; ++seed) {
    const std::size_t kEvents = 50;
    for (std::size_t crash = 1; crash < kEvents; ++crash) {
      Story story = StoryTeller(seed).tell(kEvents, crash, Reboots::none);
      const WholeRun whole = run_whole(story);
      for (std::size_t kept = crash - std::min<std::size_t>(crash, 8); kept < crash; ++kept) {
        Story lossy = story;
        for (std::size_t i = kept; i < crash; ++i) lossy.events[i].is_tick = true;
        const Crash at{crash, kept - std::min<std::size_t>(kept, 5), whole.alarms_after[crash]};
        const std::vector<std::string> stream = run_crashed(lossy, whole, at, 0);
        expect_turns(stream);
        if (::testing::Test::HasFatalFailure()) FAIL() << "seed " << seed << " crash " << crash << " kept " << kept;
      }
    }
  }
}

class Restart : public EngineFixture {
 protected:
  /// A new process with the saved state and the alarms that the log holds.
  void crash_and_restart(const std::string& saved, const std::vector<AlarmTransition>& logged) {
    use(options_);
    ASSERT_TRUE(engine_->restore(saved));
    for (const AlarmTransition& transition : logged) engine_->observe_logged(transition);
    ++epoch_;
  }
};

TEST_F(Restart, repeats_no_alarm_that_a_tick_raised_before_the_crash) {
  use(with_delays(threshold("> 90"), seconds(10)));
  feed("t=1 95");
  const std::string saved = engine_->save();
  ASSERT_EQ(feed("t=11 tick"), "raised at t=11");
  const std::vector<AlarmTransition> logged = fresh_;
  crash_and_restart(saved, logged);
  EXPECT_EQ(engine_->active().size(), 1U) << "known before the first reading";
  EXPECT_EQ(feed("t=12 tick, t=13 95, t=14 80"), "cleared at t=14");
  EXPECT_EQ(fresh_.front().occurrence, (Position{1, 1}));
}

TEST_F(Restart, brings_out_the_alarm_that_a_tick_raised_and_the_log_missed) {
  use(with_delays(threshold("> 90"), seconds(10)));
  feed("t=1 95");
  const std::string saved = engine_->save();
  ASSERT_EQ(feed("t=11 tick"), "raised at t=11");
  const std::string lost = to_document(fresh_.front());
  crash_and_restart(saved, {});
  EXPECT_EQ(feed("t=12 tick"), "raised at t=11");
  EXPECT_EQ(to_document(fresh_.front()), lost);
}

TEST_F(Restart, keeps_an_alarm_raised_by_a_tick_over_a_power_cut) {
  use(with_delays(threshold("> 90"), seconds(10)));
  feed("t=1 95");
  const std::string saved = engine_->save();
  ASSERT_EQ(feed("t=11 tick"), "raised at t=11");
  crash_and_restart(saved, std::vector<AlarmTransition>(fresh_));
  EXPECT_EQ(feed("t=20 reboot, t=21 tick, t=22 95, t=40 80"), "cleared at t=40");
}

TEST_F(Restart, keeps_a_pending_delay_when_the_log_only_holds_what_was_before) {
  use(with_delays(threshold("> 90"), seconds(10), seconds(5)));
  ASSERT_EQ(feed("t=1 95, t=11 95, t=12 80, t=17 80"), "raised at t=11, cleared at t=17");
  const std::vector<AlarmTransition> logged = fresh_;
  feed("t=20 95");
  crash_and_restart(engine_->save(), logged);
  EXPECT_EQ(feed("t=30 95"), "raised at t=30");
}

TEST_F(Restart, clears_an_alarm_that_a_changed_rule_no_longer_raises) {
  use(threshold("> 90"));
  ASSERT_EQ(feed("t=1 95"), "raised at t=1");
  const std::string saved = engine_->save();
  options_ = {threshold("> 200")};
  crash_and_restart(saved, std::vector<AlarmTransition>(fresh_));
  EXPECT_EQ(engine_->active().size(), 1U);
  EXPECT_EQ(feed("t=2 95"), "cleared at t=2");
}

TEST_F(Restart, holds_the_log_true_from_the_very_record_it_names) {
  use(threshold("> 90"));
  ASSERT_EQ(feed("t=1 95"), "raised at t=1");
  const std::vector<AlarmTransition> logged = fresh_;
  options_ = {threshold("> 200")};
  crash_and_restart(RuleEngine({}, tags_).save(), logged);
  RecordBatch frame;  // the raising record, and behind it in the same frame one that the changed rule clears by
  frame.epoch = logged.front().cause.epoch;
  frame.first = logged.front().cause.sequence;
  for (const double value : {95.0, 96.0}) {
    Reading& reading = frame.readings.emplace_back();
    reading.tag = tags_.intern("boiler/temp");
    reading.value = value;
  }
  std::vector<AlarmTransition> out;
  engine_->apply(frame, out);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out.front().state, AlarmState::cleared);
  EXPECT_EQ(out.front().cause, (Position{1, 2}));
  EXPECT_EQ(out.front().occurrence, (Position{1, 1}));
}

TEST_F(Restart, hands_what_was_raised_over_to_changed_rules_while_running) {
  use({with_delays(threshold("> 90"), {}, seconds(5))});
  ASSERT_EQ(feed("t=1 95", "boiler/a"), "raised at t=1");
  ASSERT_EQ(feed("t=1 95, t=2 80", "boiler/b"), "raised at t=1");
  for (const char* raise : {"> 90", "> 80"}) {  // unchanged, then changed
    RuleEngine old = RuleEngine(options_, tags_);
    ASSERT_TRUE(old.restore(engine_->save()));
    options_ = {with_delays(threshold(raise), {}, seconds(5))};
    use(options_);
    ASSERT_TRUE(engine_->restore(old.save()));
    for (const ActiveAlarm& alarm : old.active()) engine_->observe_logged(alarm.raised);
    EXPECT_EQ(engine_->active().size(), 2U);
    const bool keeps_delays = std::string_view(raise) == "> 90";
    EXPECT_EQ(next_deadline().has_value(), keeps_delays) << "a changed rule's delays begin anew";
  }
  EXPECT_EQ(feed("t=8 80, t=13 tick", "boiler/b"), "cleared at t=13");
}

TEST_F(Restart, ignores_logged_alarms_of_rules_and_tags_that_are_gone) {
  use(threshold("> 90"));
  AlarmTransition gone;
  gone.rule = "gone";
  gone.tag = "boiler/temp";
  AlarmTransition elsewhere;
  elsewhere.rule = "hot";
  elsewhere.tag = "pump/temp";
  crash_and_restart(engine_->save(), {gone, elsewhere});
  EXPECT_TRUE(engine_->active().empty());
  EXPECT_EQ(tags_.size(), 0U) << "no tag is made for them";
}

}  // namespace
}  // namespace tidegate::rules::testing
