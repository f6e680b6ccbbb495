#include "mqtt/paho_library.h"

#include <mqtt/async_client.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "mqtt/tls_floor.h"

namespace tidegate::mqtt {
namespace {

struct TlsWatch {
  std::mutex mutex;
  int handshakes = 0;
  std::string complaint;
};

TlsWatch& tls_watch() {
  static TlsWatch* const kWatch = new TlsWatch;  // Paho's threads outlive main()
  return *kWatch;
}

// Lines of Paho's trace: "SSL alert write:fatal:unknown CA" and "X509_check_host for hostname broker failed, rc 0".
std::optional<std::string> complaint_in(std::string_view line) {
  constexpr std::string_view kAlert = "SSL alert ";
  constexpr std::string_view kHost = "X509_check_host for hostname ";
  if (const auto at = line.find(kAlert); at != std::string_view::npos) {
    const std::string_view alert = line.substr(at + kAlert.size());
    if (alert.find("close notify") != std::string_view::npos) return std::nullopt;
    const auto text = alert.rfind(':');
    if (text == std::string_view::npos) return std::nullopt;
    const bool from_broker = alert.rfind("read:", 0) == 0;
    return (from_broker ? "broker: " : "") + std::string(alert.substr(text + 1));
  }
  if (const auto at = line.find(kHost); at != std::string_view::npos && line.find("failed") != std::string_view::npos) {
    const std::string_view host = line.substr(at + kHost.size());
    return "host name " + std::string(host.substr(0, host.find(" failed"))) + " is not in it";
  }
  return std::nullopt;
}

// Called on Paho's threads, in the middle of their work.
void take_trace(enum MQTTASYNC_TRACE_LEVELS, char* text) {
  if (text == nullptr) return;
  try {
    if (auto complaint = complaint_in(text)) {
      TlsWatch& watch = tls_watch();
      const std::lock_guard lock(watch.mutex);
      watch.complaint = std::move(*complaint);
    }
  } catch (...) {  // out of memory: without the words, then
  }
}

}  // namespace

PahoLibrary& PahoLibrary::instance() {
  static PahoLibrary* const kInstance = new PahoLibrary;
  return *kInstance;
}

PahoLibrary::PahoLibrary() {
  raise_tls_floor();
  try {
    anchor_ = std::make_shared<::mqtt::async_client>("tcp://127.0.0.1:1", "anchor");
  } catch (const std::exception&) {  // clients then cost a second more to make
  }
  ::MQTTAsync_setTraceCallback(&take_trace);
  ::MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_FATAL);
}

void PahoLibrary::watch_tls_handshake() {
  TlsWatch& watch = tls_watch();
  const std::lock_guard lock(watch.mutex);
  if (++watch.handshakes == 1) {
    watch.complaint.clear();
    ::MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_PROTOCOL);
  }
}

void PahoLibrary::forget_tls_handshake() {
  TlsWatch& watch = tls_watch();
  const std::lock_guard lock(watch.mutex);
  if (--watch.handshakes == 0) ::MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_FATAL);
}

std::string PahoLibrary::take_tls_complaint() {
  TlsWatch& watch = tls_watch();
  const std::lock_guard lock(watch.mutex);
  return std::exchange(watch.complaint, {});
}

}  // namespace tidegate::mqtt
