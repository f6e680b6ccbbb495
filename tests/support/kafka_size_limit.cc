#include "tests/support/kafka_size_limit.h"

#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <stdexcept>
#include <string_view>

namespace tidegate::testing {
namespace {

constexpr std::int16_t kProduce = 0;  // ApiKey
constexpr std::int16_t kFirstVersion = 5;
constexpr std::int16_t kLastVersion = 7;
constexpr std::int16_t kMessageTooLarge = 10;
constexpr std::size_t kSizeBytes = 4;

template <class T>
void put(std::string& bytes, T value) {
  for (std::size_t i = sizeof(T); i-- > 0;) {
    bytes += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xffU);
  }
}

// Of a request, from its header on.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  template <class T>
  T number() {
    std::uint64_t value = 0;
    for (const char byte : take(sizeof(T))) value = value << 8 | static_cast<unsigned char>(byte);
    return static_cast<T>(value);
  }
  std::string_view text() {
    const auto size = number<std::int16_t>();
    return size < 0 ? std::string_view() : take(static_cast<std::size_t>(size));
  }

 private:
  std::string_view take(std::size_t size) {
    if (size > left_.size()) throw std::runtime_error("a request of Kafka ends too early");
    const auto taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }

  std::string_view left_;
};

std::optional<std::string> receive(int socket, std::size_t size) {
  std::string bytes(size, '\0');
  const auto got = ::recv(socket, bytes.data(), size, MSG_WAITALL);
  return got == static_cast<ssize_t>(size) ? std::optional(std::move(bytes)) : std::nullopt;
}

// With its size before it.
std::optional<std::string> receive_frame(int socket) {
  auto frame = receive(socket, kSizeBytes);
  if (!frame) return std::nullopt;
  const auto rest = receive(socket, Reader(*frame).number<std::uint32_t>());
  if (!rest) return std::nullopt;
  return *frame + *rest;
}

// The library produces to one partition a request.
std::string refusal_of(std::string_view request) {
  Reader reader(request.substr(kSizeBytes));
  reader.number<std::int16_t>();
  const auto version = reader.number<std::int16_t>();
  if (version < kFirstVersion || version > kLastVersion) throw std::runtime_error("another version to produce");
  const auto correlation = reader.number<std::int32_t>();
  reader.text();  // client
  reader.text();  // transaction
  reader.number<std::int16_t>();
  reader.number<std::int32_t>();
  if (reader.number<std::int32_t>() != 1) throw std::runtime_error("several topics in one request");
  const std::string topic(reader.text());
  if (reader.number<std::int32_t>() != 1) throw std::runtime_error("several partitions in one request");
  const auto partition = reader.number<std::int32_t>();

  std::string body;
  put(body, correlation);
  put(body, std::int32_t{1});
  put(body, static_cast<std::int16_t>(topic.size()));
  body += topic;
  put(body, std::int32_t{1});
  put(body, partition);
  put(body, kMessageTooLarge);
  for (int i = 0; i < 3; ++i) put(body, std::int64_t{-1});  // offset, time, start of the log
  put(body, std::int32_t{0});                               // throttled for
  std::string frame;
  put(frame, static_cast<std::uint32_t>(body.size()));
  return frame + body;
}

bool is_to_produce(std::string_view frame) {
  return Reader(frame.substr(kSizeBytes)).number<std::int16_t>() == kProduce;
}

}  // namespace

KafkaSizeLimit::KafkaSizeLimit(std::uint16_t broker, std::size_t most)
    : broker_(broker),
      port_(free_port()),
      listener_(listen_on_loopback(port_)),
      advertise_(advertise_port(broker, port_)),
      most_(most),
      accepting_([this] { accept_all(); }) {}

KafkaSizeLimit::~KafkaSizeLimit() {
  ::shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  ::close(listener_);
  for (Link& link : links_) {
    ::shutdown(link.client, SHUT_RDWR);
    ::shutdown(link.broker, SHUT_RDWR);
    link.requests.join();
    link.answers.join();
    ::close(link.client);
    ::close(link.broker);
  }
}

void KafkaSizeLimit::accept_all() {
  for (;;) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    const int broker = connect_to_loopback(broker_);
    if (broker < 0) {
      ::close(client);
      continue;
    }
    Link& link = links_.emplace_back();
    link.client = client;
    link.broker = broker;
    link.requests = std::thread([this, &link] { pass_requests(link); });
    link.answers = std::thread([this, &link] { pass_answers(link); });
  }
}

void KafkaSizeLimit::pass_requests(Link& link) {
  try {
    while (const auto frame = receive_frame(link.client)) {
      if (!is_to_produce(*frame) || frame->size() <= most_) {
        if (!send_all(link.broker, *frame)) break;
        continue;
      }
      const std::string refusal = refusal_of(*frame);
      ++refused_;
      const std::lock_guard lock(link.writing);
      if (!send_all(link.client, refusal)) break;
    }
  } catch (const std::runtime_error&) {  // the library complains of the end that it sees
  }
  ::shutdown(link.client, SHUT_RDWR);
  ::shutdown(link.broker, SHUT_RDWR);
}

void KafkaSizeLimit::pass_answers(Link& link) const {
  while (auto frame = receive_frame(link.broker)) {
    advertise_(*frame);
    const std::lock_guard lock(link.writing);
    if (!send_all(link.client, *frame)) break;
  }
  ::shutdown(link.client, SHUT_RDWR);
  ::shutdown(link.broker, SHUT_RDWR);
}

}  // namespace tidegate::testing
