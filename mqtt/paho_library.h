#pragma once

#include <memory>
#include <string>

namespace tidegate::mqtt {

/// Settings of Paho that hold for the whole process. Makes them with the first use.
///
/// One client that never connects is kept, because Paho stops and starts its threads (a second each) when the number
/// of clients goes to zero and back. Paho formats a trace line for everything it does even when nobody reads it, which
/// costs more than the message itself: that is off, but for TLS handshakes, whose trace is the only way to learn why
/// one failed (the C++ layer's error handler is called on an object that is gone by then).
class PahoLibrary {
 public:
  static PahoLibrary& instance();

  /// While at least one handshake is watched, complaints about TLS are kept.
  void watch_tls_handshake();
  void forget_tls_handshake();
  /// The last complaint since the last call of this; "" when there was none. "broker: " begins what the other side
  /// complained of.
  std::string take_tls_complaint();

 private:
  PahoLibrary();

  std::shared_ptr<void> anchor_;  // a client
};

}  // namespace tidegate::mqtt
