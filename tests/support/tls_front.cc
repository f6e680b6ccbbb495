#include "tests/support/tls_front.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <stdexcept>
#include <string_view>

namespace tidegate::testing {
namespace {

constexpr int kNoSecurityLevel = 0;

ssl_ctx_st* make_context(const TlsFront::Options& options) {
  SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) throw std::runtime_error("OpenSSL has no memory");
  SSL_CTX_set_security_level(context, kNoSecurityLevel);
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);  // a read does not wait for more than what is there
  if (SSL_CTX_use_certificate_chain_file(context, options.chain.c_str()) == 1 &&
      SSL_CTX_use_PrivateKey_file(context, options.key.c_str(), SSL_FILETYPE_PEM) == 1) {
    return context;
  }
  SSL_CTX_free(context);
  throw std::runtime_error("OpenSSL does not take " + options.chain + " and " + options.key);
}

void ignore_sigpipe() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace

TlsFront::TlsFront(const Options& options)
    : target_(options.target),
      is_asked_first_(options.is_asked_first),
      port_(free_port()),
      context_(make_context(options)),
      listener_(listen_on_loopback(port_)),
      acceptor_([this] { accept_all(); }) {
  ignore_sigpipe();  // OpenSSL writes to sockets that the other side has closed
}

TlsFront::~TlsFront() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  ::close(listener_);
  SSL_CTX_free(context_);
}

void TlsFront::rewrite_answers(ByteRewrite rewrite) {
  const std::lock_guard lock(mutex_);
  rewrite_ = std::move(rewrite);
}

void TlsFront::accept_all() {
  for (;;) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0 || !add_socket(client)) return;
    ++connections_;
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this, client] { serve(client); });
  }
}

void TlsFront::serve(int client) {
  SSL* const tls = SSL_new(context_);
  SSL_set_security_level(tls, kNoSecurityLevel);
  SSL_set_fd(tls, client);
  if (is_asked(client) && SSL_accept(tls) == 1) {
    ++handshakes_;
    pass_on(tls, client);
  }
  SSL_free(tls);
  close_socket(client);
}

// SSLRequest is a length of 8 and a number; 'S' says yes.
bool TlsFront::is_asked(int client) const {
  if (!is_asked_first_) return true;
  std::array<char, 8> request{};
  const std::string_view asked("\0\0\0\x08\x04\xd2\x16\x2f", request.size());
  const ssize_t got = ::recv(client, request.data(), request.size(), MSG_WAITALL);
  return got == static_cast<ssize_t>(request.size()) && std::string_view(request.data(), request.size()) == asked &&
         send_all(client, "S");
}

void TlsFront::pass_on(SSL* tls, int client) {
  const int target = connect_to_loopback(target_);
  if (target < 0 || !add_socket(target)) return;
  std::array<pollfd, 2> watched{{{client, POLLIN, 0}, {target, POLLIN, 0}}};
  for (bool is_open = true; is_open;) {
    if (::poll(watched.data(), watched.size(), -1) < 0) break;
    if (watched[0].revents != 0) is_open = pass_request(tls, target);
    if (is_open && watched[1].revents != 0) is_open = pass_answer(tls, target);
  }
  close_socket(target);
}

bool TlsFront::pass_request(SSL* tls, int target) {
  std::array<char, 16384> buffer{};
  do {
    const int got = SSL_read(tls, buffer.data(), buffer.size());
    if (got <= 0) return SSL_get_error(tls, got) == SSL_ERROR_WANT_READ;
    application_bytes_ += static_cast<std::uint64_t>(got);
    if (!send_all(target, {buffer.data(), static_cast<std::size_t>(got)})) return false;
  } while (SSL_pending(tls) > 0);
  return true;
}

bool TlsFront::pass_answer(SSL* tls, int target) {
  std::array<char, 65536> buffer{};
  const ssize_t got = ::recv(target, buffer.data(), buffer.size(), 0);
  if (got <= 0) return false;
  std::string bytes(buffer.data(), static_cast<std::size_t>(got));
  {
    const std::lock_guard lock(mutex_);
    if (rewrite_) rewrite_(bytes);
  }
  return SSL_write(tls, bytes.data(), static_cast<int>(bytes.size())) > 0;
}

bool TlsFront::add_socket(int socket) {
  const std::lock_guard lock(mutex_);
  if (!is_stopping_) sockets_.push_back(socket);
  if (is_stopping_) ::close(socket);
  return !is_stopping_;
}

void TlsFront::close_socket(int socket) {
  const std::lock_guard lock(mutex_);
  sockets_.erase(std::find(sockets_.begin(), sockets_.end(), socket));
  ::close(socket);
}

}  // namespace tidegate::testing
