#include "daemon/admin/live_feed.h"

#include <utility>

namespace tidegate::daemon {
namespace {

constexpr std::size_t kGlobBytesMax = 255;  // as a tag's path

}  // namespace

LiveFeed::LiveFeed(EventLoop& loop, const TagRegistry& tags, LiveSources sources)
    : tags_(tags), sources_(std::move(sources)), timer_(loop.make_timer()) {}

LiveFeed::~LiveFeed() { end(); }

void LiveFeed::answer(const AdminRequest& request, const AdminRespond& respond) {
  if (request.method != "GET") return respond(refuse(405, "only GET is answered here"));
  const auto glob = request.query.find("tag");
  if (glob != request.query.end() && glob->second.size() > kGlobBytesMax) {
    return respond(refuse(400, "tag: a glob of at most 255 bytes, found " + std::to_string(glob->second.size())));
  }
  if (has_ended_) return respond(refuse(503, "the daemon is stopping"));
  forget_gone();
  if (clients_.size() >= kClientsMax) {
    return respond(refuse(503, std::to_string(kClientsMax) + " clients listen already, and no more may"));
  }
  const auto client = std::make_shared<LiveClient>(tags_, glob == request.query.end() ? "" : glob->second);
  clients_.push_back(client);
  looks_ -= looks_ % kLooksOfStatus;  // it gets a status with the next look
  if (!std::exchange(is_watching_, true)) {
    sources_.watch(this);
    arm();
  }
  AdminResponse response;
  response.content_type = "text/event-stream";
  response.stream = client;
  respond(std::move(response));
}

void LiveFeed::end() {
  has_ended_ = true;
  for (const auto& listed : std::exchange(clients_, {})) {
    if (const auto client = listed.lock()) client->end();
  }
  rest();
}

void LiveFeed::look() {
  forget_gone();
  if (clients_.empty()) return rest();
  LiveClient::Text status;
  if (looks_ % kLooksOfStatus == 0) status = std::make_shared<const std::string>(sources_.status());
  ++looks_;
  for (const auto& listed : clients_) {
    const auto client = listed.lock();
    if (!client) continue;
    client->note_changed(changed_);
    if (status) client->note_status(status);
    if (looks_ % kLooksOfHeartbeat == 0) client->note_heartbeat();
    client->tell(sources_.latest());
  }
  changed_.clear();
  arm();
}

void LiveFeed::on_readings(const RecordBatch& batch) {
  for (const Reading& reading : batch.readings) changed_.insert(static_cast<std::size_t>(reading.tag));
}

void LiveFeed::on_alarm(const rules::AlarmTransition& transition) {
  const auto document = std::make_shared<const std::string>(rules::to_document(transition));
  for (const auto& listed : clients_) {
    if (const auto client = listed.lock()) client->note_alarm(document);
  }
}

void LiveFeed::forget_gone() {
  std::erase_if(clients_, [](const auto& client) { return client.expired(); });
}

void LiveFeed::arm() {
  timer_->arm(kLookEvery, [this] { look(); });
}

void LiveFeed::rest() {
  if (!std::exchange(is_watching_, false)) return;
  timer_->cancel();
  sources_.watch(nullptr);
  changed_.reset();
}

}  // namespace tidegate::daemon
