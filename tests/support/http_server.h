#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tidegate::testing {

struct HttpRequestSeen {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in small letters
  std::string body;
  std::uint64_t connection = 0;  // which one it came over, from 1 on

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

struct HttpScriptedReply {
  enum class Then : std::uint8_t {
    keep_open,  // for the next request
    close,
    say_nothing,   // no byte more, connection open until the other side closes it
    drip,          // the bytes one by one, one each 100 ms, for ever from the beginning
    repeat_bytes,  // the bytes, and then their last kilobyte again and again
  };
  std::string bytes;
  Then then = Then::keep_open;
};

/// A reply as a decent server gives it; `headers` are lines, each ended by "\r\n".
HttpScriptedReply http_reply(int status, const std::string& body = "", const std::string& headers = "");

/// An HTTP/1.1 server on 127.0.0.1 that answers as a test says, also wrongly. `answer` is called on threads of its own,
/// one call at a time.
class ScriptedHttpServer {
 public:
  using Answer = std::function<HttpScriptedReply(const HttpRequestSeen&)>;

  explicit ScriptedHttpServer(Answer answer);
  ~ScriptedHttpServer() { stop(); }

  /// At the same port each time; throws std::runtime_error when that is taken.
  void start();
  /// Cuts all connections.
  void stop();

  std::uint16_t port() const { return port_; }
  std::string url(const std::string& target = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + target;
  }
  std::uint64_t connections() const;
  /// The most requests that were read and not yet answered, at a time.
  std::uint64_t most_open() const;

 private:
  void accept_all();
  void serve(int socket, std::uint64_t number);
  void give(int socket, const HttpScriptedReply& reply);

  const Answer answer_;
  const std::uint16_t port_;
  int listener_ = -1;
  std::thread acceptor_;
  mutable std::mutex mutex_;
  std::mutex answering_;
  bool is_stopping_ = false;
  std::uint64_t connections_ = 0;
  std::uint64_t open_ = 0;
  std::uint64_t most_open_ = 0;
  std::vector<int> sockets_;
  std::list<std::thread> threads_;
};

}  // namespace tidegate::testing
