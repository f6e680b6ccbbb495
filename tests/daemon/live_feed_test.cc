#include "daemon/admin/live_feed.h"

#include <gmock/gmock.h>

#include <map>

namespace tidegate::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

/// A peer as the server has one: asks for the next piece when it has taken the last one.
class Peer {
 public:
  explicit Peer(std::shared_ptr<AdminStream> stream) : stream_(std::move(stream)) { ask(); }
  ~Peer() { stream_.reset(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void ask() {
    stream_->next([this](std::string piece) {
      ended_ = ended_ || piece.empty();
      pieces_.push_back(std::move(piece));
    });
  }
  /// What has come since it asked; asks again.
  std::string take() {
    std::string all;
    for (std::string& piece : std::exchange(pieces_, {})) all += piece;
    if (!ended_) ask();
    return all;
  }
  const std::vector<std::string>& waiting() const { return pieces_; }
  bool ended() const { return ended_; }

 private:
  std::shared_ptr<AdminStream> stream_;
  std::vector<std::string> pieces_;
  bool ended_ = false;
};

class LiveFeedTest : public ::testing::Test {
 protected:
  AdminResponse request(const std::string& tag = "") {
    AdminRequest asked;
    asked.method = "GET";
    if (!tag.empty()) asked.query["tag"] = tag;
    AdminResponse answered;
    feed_.answer(asked, [&](AdminResponse response) { answered = std::move(response); });
    return answered;
  }
  std::unique_ptr<Peer> listen(const std::string& tag = "") {
    auto peer = std::make_unique<Peer>(request(tag).stream);
    EXPECT_EQ(peer->take(), "retry: 2000\n\n");
    return peer;
  }
  void read(const std::string& tag, std::int64_t value) {
    RecordBatch batch;
    Reading& reading = batch.readings.emplace_back();
    reading.tag = tags_.intern(tag);
    reading.value = value;
    const auto index = static_cast<std::size_t>(reading.tag);
    Reading unseen;
    unseen.tag = kNoTag;
    if (latest_.size() <= index) latest_.resize(index + 1, unseen);
    latest_[index] = reading;
    if (watcher_ != nullptr) watcher_->on_readings(batch);
  }
  void raise(const std::string& tag) {
    rules::AlarmTransition transition;
    transition.alarm = "hot/" + tag;
    transition.tag = tag;
    if (watcher_ != nullptr) watcher_->on_alarm(transition);
  }

  LiveSources sources() {
    LiveSources sources;
    sources.status = [this] { return "{\"n\":" + std::to_string(++statuses_) + "}"; };
    sources.latest = [this]() -> const auto& { return latest_; };
    sources.watch = [this](PipelineWatcher* watcher) { watcher_ = watcher; };
    return sources;
  }

  EventLoop loop_;
  TagRegistry tags_;
  std::vector<Reading> latest_;
  PipelineWatcher* watcher_ = nullptr;
  int statuses_ = 0;
  LiveFeed feed_{loop_, tags_, sources()};
};

TEST_F(LiveFeedTest, TellsWhatIsKnownAndThenEachChangeOnceWithItsLatestValue) {
  read("a/x", 1);
  read("b/y", 2);
  const auto peer = listen();
  feed_.look();
  EXPECT_THAT(peer->take(), AllOf(HasSubstr("event: status\ndata: {\"n\":1}\n\n"), HasSubstr("\"value\":1"),
                                  HasSubstr("event: reading\ndata: {\"tag\":\"b/y\"")));
  read("a/x", 3);
  read("a/x", 4);
  feed_.look();
  EXPECT_THAT(peer->take(), AllOf(HasSubstr("\"value\":4"), Not(HasSubstr("\"value\":3")), Not(HasSubstr("b/y"))));
}

TEST_F(LiveFeedTest, LeavesOutTagsThatTheGlobDoesNotMatch) {
  read("a/x", 1);
  read("b/y", 2);
  const auto peer = listen("b/*");
  feed_.look();
  EXPECT_THAT(peer->take(), AllOf(HasSubstr("b/y"), Not(HasSubstr("a/x"))));
  read("a/x", 3);
  read("a/z", 3);
  read("b/z", 4);
  feed_.look();
  EXPECT_THAT(peer->take(), AllOf(HasSubstr("b/z"), Not(HasSubstr("a/"))));
}

TEST_F(LiveFeedTest, KeepsOneReaderThatIsSlowAtTheLatestAndBoundsWhatWaits) {
  const auto peer = listen();
  feed_.look();
  for (int i = 0; i < 1'000; ++i) {
    read("a/x", i);
    raise("a/x");
    feed_.look();
  }
  EXPECT_THAT(peer->waiting(), SizeIs(1));
  peer->take();
  feed_.look();
  const std::string piece = peer->take();
  EXPECT_EQ(count_of(piece, "event: reading"), 1U);
  EXPECT_EQ(count_of(piece, "event: status"), 1U);
  EXPECT_THAT(piece, AllOf(HasSubstr("\"value\":999"), HasSubstr("event: missed\ndata: {\"alarms\":")));
  EXPECT_LE(count_of(piece, "event: alarm"), LiveClient::kAlarmsMax);
  // What is missed and what is told are all that there were.
  const auto missed = std::stoul(piece.substr(piece.find("{\"alarms\":") + 10));
  EXPECT_EQ(missed + count_of(piece, "event: alarm"), 1'000U);
}

TEST_F(LiveFeedTest, GoesRoundSoThatNoTagWaitsForOthersThatChangeAllTheTime) {
  constexpr std::size_t kTags = 3 * LiveClient::kReadingsOfPiece;
  for (std::size_t i = 0; i < kTags; ++i) read("a/" + std::to_string(i), 0);
  const auto peer = listen();
  std::string told;
  for (int look = 0; look < 3; ++look) {
    for (std::size_t i = 0; i < LiveClient::kReadingsOfPiece; ++i) read("a/" + std::to_string(i), look);
    feed_.look();
    const std::string piece = peer->take();
    EXPECT_LE(count_of(piece, "event: reading"), LiveClient::kReadingsOfPiece);
    told += piece;
  }
  for (std::size_t i = 0; i < kTags; ++i) EXPECT_THAT(told, HasSubstr("\"a/" + std::to_string(i) + "\""));
}

TEST_F(LiveFeedTest, WatchesOnlyWhileSomebodyListens) {
  EXPECT_EQ(watcher_, nullptr);
  auto peer = listen();
  EXPECT_NE(watcher_, nullptr);
  peer.reset();
  feed_.look();
  EXPECT_EQ(watcher_, nullptr);
  EXPECT_EQ(statuses_, 0);
  peer = listen();
  EXPECT_NE(watcher_, nullptr);
}

TEST_F(LiveFeedTest, TakesSixteenAndRefusesOneMoreUntilOneIsGone) {
  std::vector<std::unique_ptr<Peer>> peers;
  for (std::size_t i = 0; i < LiveFeed::kClientsMax; ++i) peers.push_back(listen());
  EXPECT_EQ(request().status, 503U);
  peers.pop_back();
  EXPECT_EQ(request().status, 200U);
}

TEST_F(LiveFeedTest, RefusesWhatIsNoQuestion) {
  EXPECT_EQ(request(std::string(256, '*')).status, 400U);
  AdminRequest post;
  post.method = "POST";
  feed_.answer(post, [](const AdminResponse& response) { EXPECT_EQ(response.status, 405U); });
}

TEST_F(LiveFeedTest, SaysThatItIsThereEachFifteenSeconds) {
  const auto peer = listen();
  std::string told;
  for (std::uint64_t i = 0; i < LiveFeed::kLooksOfHeartbeat; ++i) {
    feed_.look();
    told += peer->take();
  }
  EXPECT_EQ(count_of(told, "\n\n:\n\n"), 1U);
  EXPECT_EQ(count_of(told, "event: status"), LiveFeed::kLooksOfHeartbeat / LiveFeed::kLooksOfStatus);
}

TEST_F(LiveFeedTest, EndsWhoWaitsAndWhoReadsLaterAndTakesNobodyMore) {
  const auto waits = listen();
  const auto reads_later = listen();
  feed_.look();
  waits->take();
  feed_.end();
  EXPECT_TRUE(waits->ended());
  EXPECT_FALSE(reads_later->ended());
  reads_later->take();
  EXPECT_TRUE(reads_later->ended());
  EXPECT_EQ(request().status, 503U);
  EXPECT_EQ(watcher_, nullptr);
}

}  // namespace
}  // namespace tidegate::daemon
