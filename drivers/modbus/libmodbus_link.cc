#include "drivers/modbus/libmodbus_link.h"

#include <modbus/modbus.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include "core/descriptor.h"
#include "drivers/modbus/interrupt.h"
#include "drivers/modbus/owed_answers.h"
#include "drivers/modbus/reply_check.h"
#include "drivers/modbus/tcp_connect.h"
#include "drivers/modbus/write_frames.h"

namespace tidegate::drivers {
namespace {

struct FreeContext {
  void operator()(modbus_t* context) const { modbus_free(context); }
};
using Context = std::unique_ptr<modbus_t, FreeContext>;

std::uint8_t high_byte(unsigned value) { return static_cast<std::uint8_t>((value >> 8) & 0xffU); }
std::uint8_t low_byte(unsigned value) { return static_cast<std::uint8_t>(value & 0xffU); }

using Pdu = std::vector<std::uint8_t>;
constexpr std::size_t kPduBytesMost = 253;

Pdu read_pdu(const ModbusRequest& request) {
  return {read_function(request.table), high_byte(request.address), low_byte(request.address), high_byte(request.count),
          low_byte(request.count)};
}

enum class Sent { whole, nothing, in_part };

enum class Received { frame, foreign, damaged, lost, timed_out, interrupted };

// One frame as libmodbus takes it from the wire.
class FrameReader {
 public:
  // Waits `first` for the first byte and, from then on, `rest` for the whole frame.
  Received receive(modbus_t* context, const Interrupt& interrupt, Duration first, Duration rest) {
    size_ = 0;
    switch (wait_for(modbus_get_socket(context), POLLIN, interrupt, first)) {
      case WaitResult::timed_out:
        return Received::timed_out;
      case WaitResult::interrupted:
        return Received::interrupted;
      case WaitResult::ready:
        break;
    }
    const auto microseconds = std::max<std::int64_t>(1000, rest.count() / 1000);
    modbus_set_response_timeout(context, static_cast<std::uint32_t>(microseconds / 1'000'000),
                                static_cast<std::uint32_t>(microseconds % 1'000'000));
    const int size = modbus_receive_confirmation(context, bytes_.data());
    if (size > 0) {
      size_ = static_cast<std::size_t>(size);
      return Received::frame;
    }
    if (size == 0) return Received::foreign;  // RTU: of another unit than the one set
    const bool incomplete = errno == ETIMEDOUT || errno == EMBBADCRC || errno == EMBBADDATA || errno == EAGAIN;
    return incomplete ? Received::damaged : Received::lost;
  }
  std::span<const std::uint8_t> bytes() const { return std::span(bytes_).first(size_); }

 private:
  std::array<std::uint8_t, MODBUS_MAX_ADU_LENGTH> bytes_{};
  std::size_t size_ = 0;
};

Context without_surprises(modbus_t* context) {
  Context owned(context);
  if (!context) return owned;
  modbus_set_error_recovery(context, MODBUS_ERROR_RECOVERY_NONE);
  modbus_set_byte_timeout(context, 0, 0);  // the response time-out is for the whole frame then
  return owned;
}

// Modbus TCP. A transaction id belongs to one request, so a late answer is known by its id and passed over; the
// connection is given up for whatever leaves a doubt about where the next frame begins, after two time-outs without any
// answer between, because a peer that lost power does not close it, and after each write that nobody answered.
class TcpLink final : public ModbusLink {
 public:
  TcpLink(Context context, TcpTarget target, const Clock& clock)
      : context_(std::move(context)), target_(std::move(target)), clock_(clock) {}

  Result<void> connect() override {
    close();
    auto socket = connect_tcp(target_, clock_, interrupt_);
    if (!socket) return tl::unexpected(socket.error());
    socket_ = std::move(*socket);
    modbus_set_socket(context_.get(), socket_.get());
    sent_ = 0;
    silent_ = 0;
    return {};
  }

  bool is_connected() const override { return socket_.is_open(); }

  ModbusResult read(const ModbusRequest& request, std::span<std::uint16_t> into) override {
    if (const auto ready = make_ready(); ready != ModbusResult::ok) return ready;
    if (send(request.unit, read_pdu(request)) != Sent::whole) return give_up(ModbusResult::not_connected);
    return await(
        [&](std::uint8_t unit, std::span<const std::uint8_t> pdu) { return check_reply(request, unit, pdu, into); });
  }

  ModbusWriteReply write(const ModbusWrite& write) override {
    ModbusWriteReply reply;
    reply.result = make_ready();
    if (reply.result != ModbusResult::ok) return reply;
    if (clock_.boot_now() > write.until) return {ModbusResult::timeout, false, 0, true};
    forget_at_close(true);  // from here on, so that it holds for a process that is killed as well
    const Sent sent = send(write.unit, write_pdu(write));
    reply.is_sent = sent != Sent::nothing;
    if (sent != Sent::whole) {
      reply.result = give_up(ModbusResult::not_connected);
      return reply;
    }
    reply.result = await([&](std::uint8_t unit, std::span<const std::uint8_t> pdu) {
      const ModbusWriteReply judged = check_write_reply(write, unit, pdu);
      reply.exception = judged.exception;
      return judged.result;
    });
    if (is_answer(reply.result) || reply.result == ModbusResult::gateway_failure) {
      forget_at_close(false);
    } else {
      close();  // before anything else is sent
    }
    return reply;
  }

  void close() override {
    modbus_set_socket(context_.get(), -1);
    socket_.reset();
  }

  void interrupt() override { interrupt_.raise(); }

 private:
  static constexpr std::size_t kHeaderBytes = 7;
  static constexpr unsigned kLateMax = 1000;  // transactions back that an answer can be late

  // `ok` when a request can be sent.
  ModbusResult make_ready() {
    if (!is_connected()) return ModbusResult::not_connected;
    if (drain()) return ModbusResult::ok;
    // Many devices close a connection that was idle for a while; that is no failure of this request.
    close();
    if (connect()) return ModbusResult::ok;
    return interrupt_.is_raised() ? ModbusResult::interrupted : ModbusResult::not_connected;
  }

  // Whether a close throws away what the device has not acknowledged, and resets the connection. Otherwise the kernel
  // goes on for minutes to send it again, and an old write may reach the device behind a newer one.
  void forget_at_close(bool on) {
    const linger how{on ? 1 : 0, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &how, sizeof how);
  }

  // Throws away what nobody waits for any more. False when the connection is gone.
  bool drain() {
    std::array<std::uint8_t, 1024> waste{};
    for (int i = 0; i < 64; ++i) {
      const auto size = ::recv(socket_.get(), waste.data(), waste.size(), MSG_DONTWAIT);
      if (size < 0) return errno == EAGAIN || errno == EINTR;
      if (size == 0) return false;
    }
    return false;
  }

  Sent send(std::uint8_t unit, const Pdu& pdu) {
    ++transaction_;
    ++sent_;
    const auto length = static_cast<unsigned>(pdu.size() + 1);
    std::array<std::uint8_t, kHeaderBytes + kPduBytesMost> frame{
        high_byte(transaction_), low_byte(transaction_), 0, 0, high_byte(length), low_byte(length), unit};
    std::copy(pdu.begin(), pdu.end(), frame.begin() + kHeaderBytes);
    const std::size_t size = kHeaderBytes + pdu.size();
    const auto sent = ::send(socket_.get(), frame.data(), size, MSG_NOSIGNAL);
    if (sent <= 0) return Sent::nothing;
    return static_cast<std::size_t>(sent) == size ? Sent::whole : Sent::in_part;
  }

  // The first answer to what was sent last, as `judge` finds it.
  template <class Judge>
  ModbusResult await(Judge&& judge) {
    const BootTime deadline = clock_.boot_now() + target_.timeout;
    for (;;) {
      const Duration left = deadline - clock_.boot_now();
      switch (reader_.receive(context_.get(), interrupt_, left, left)) {
        case Received::timed_out:
          return timed_out();
        case Received::interrupted:
          return ModbusResult::interrupted;
        case Received::lost:
          return give_up(ModbusResult::not_connected);
        case Received::foreign:
        case Received::damaged:
          return give_up(ModbusResult::bad_reply);
        case Received::frame:
          break;
      }
      const auto frame = reader_.bytes();
      if (!is_well_framed(frame)) return give_up(ModbusResult::bad_reply);
      silent_ = 0;
      if (is_late(frame)) continue;
      if (transaction_of(frame) != transaction_) return give_up(ModbusResult::bad_reply);
      const ModbusResult result = judge(frame[6], frame.subspan(kHeaderBytes));
      return result == ModbusResult::bad_reply ? give_up(result) : result;
    }
  }

  static std::uint16_t transaction_of(std::span<const std::uint8_t> frame) {
    return static_cast<std::uint16_t>((frame[0] << 8) | frame[1]);
  }

  // Protocol 0, and the length that the header says is the one that the function implies.
  static bool is_well_framed(std::span<const std::uint8_t> frame) {
    if (frame.size() <= kHeaderBytes) return false;
    const auto length = static_cast<std::size_t>((frame[4] << 8) | frame[5]);
    return frame[2] == 0 && frame[3] == 0 && length + 6 == frame.size();
  }

  bool is_late(std::span<const std::uint8_t> frame) const {
    const unsigned back = static_cast<std::uint16_t>(transaction_ - transaction_of(frame));
    return back > 0 && back < std::min(sent_, kLateMax);
  }

  ModbusResult timed_out() { return ++silent_ >= 2 ? give_up(ModbusResult::timeout) : ModbusResult::timeout; }

  ModbusResult give_up(ModbusResult result) {
    if (is_connected()) forget_at_close(true);
    close();
    return result;
  }

  Context context_;
  TcpTarget target_;
  const Clock& clock_;
  Interrupt interrupt_;
  Descriptor socket_;
  FrameReader reader_;
  std::uint16_t transaction_ = 0;
  unsigned sent_ = 0;  // on this connection
  int silent_ = 0;     // time-outs in a row
};

// Modbus RTU. Keeps the silence between frames, and sorts late answers out by OwedAnswers.
class RtuLink final : public ModbusLink {
 public:
  RtuLink(Context context, const ModbusBusOptions& options, const Clock& clock)
      : context_(std::move(context)), path_(options.path), timeout_(options.timeout), clock_(clock) {
    const int bits = 1 + options.data_bits + (options.parity == 'N' ? 0 : 1) + options.stop_bits;
    character_ = Duration(std::int64_t{1'000'000'000} * bits / options.baud);
    // Modbus over Serial Line 1.02, 2.5.1.1: 3.5 characters, or 1.75 ms above 19200 baud.
    silence_ = options.baud > 19200 ? std::chrono::microseconds(1750) : character_ * 7 / 2;
  }

  ~RtuLink() override { close(); }

  Result<void> connect() override {
    close();
    owed_.clear();
    if (modbus_connect(context_.get()) != 0) return refuse(errno);
    is_open_ = true;
    if (modbus_get_socket(context_.get()) >= FD_SETSIZE) {
      close();
      return refuse(EMFILE);
    }
    last_activity_ = clock_.boot_now();
    return {};
  }

  bool is_connected() const override { return is_open_; }

  ModbusResult read(const ModbusRequest& request, std::span<std::uint16_t> into) override {
    if (!is_open_) return ModbusResult::not_connected;
    OwedAnswers& owed = owed_[request.unit];
    if (owed.is_ambiguous(request, clock_.boot_now())) {
      if (const auto settled = settle(request, owed); settled != ModbusResult::ok) return settled;
    }
    return tracked(request, into, owed);
  }

  // Only when nothing is owed any more: then neither an echo nor an exception can be that of an earlier write.
  ModbusWriteReply write(const ModbusWrite& write) override {
    ModbusWriteReply reply;
    if (!is_open_) return reply;
    OwedAnswers& owed = owed_[write.unit];
    if (!owed.empty(clock_.boot_now())) {
      reply.result = settle({write.unit, write.table, write.address, 1}, owed);
      if (reply.result != ModbusResult::ok) return reply;
    }
    reply.result = exchange(write.unit, write_pdu(write), write.until, false, reply.is_sent,
                            [&](std::uint8_t unit, std::span<const std::uint8_t> pdu) {
                              const ModbusWriteReply judged = check_write_reply(write, unit, pdu);
                              reply.exception = judged.exception;
                              return judged.result;
                            });
    reply.is_late = !reply.is_sent && clock_.boot_now() > write.until;
    if (reply.is_sent && !is_answer(reply.result)) owed.add(write, clock_.boot_now(), timeout_);
    return reply;
  }

  void close() override {
    if (is_open_) modbus_close(context_.get());
    is_open_ = false;
  }

  void interrupt() override { interrupt_.raise(); }

 private:
  // Asks for what cannot be taken for an answer that is owed. When it comes nothing is owed any more.
  ModbusResult settle(const ModbusRequest& request, OwedAnswers& owed) {
    const ModbusRequest probe = owed.distinct_probe(request);
    std::array<std::uint16_t, kBitsMax> values{};
    return tracked(probe, std::span(values).first(probe.count), owed);
  }

  // Keeps count of what the unit may still say. An exception has no shape of its own: while answers are owed it may
  // be a late one.
  ModbusResult tracked(const ModbusRequest& request, std::span<std::uint16_t> into, OwedAnswers& owed) {
    const bool late_ones = !owed.empty(clock_.boot_now());
    bool is_sent = false;
    const ModbusResult result = exchange(
        request.unit, read_pdu(request), BootTime::max(), late_ones, is_sent,
        [&](std::uint8_t unit, std::span<const std::uint8_t> pdu) { return check_reply(request, unit, pdu, into); });
    if (result == ModbusResult::ok) {
      owed.clear();
    } else if (!is_answer(result) || late_ones) {
      owed.add(request, clock_.boot_now(), timeout_);
    }
    return late_ones && is_answer(result) && result != ModbusResult::ok ? ModbusResult::bad_reply : result;
  }

  // The first answer to `asked`, as `judge` finds it, and whether it was sent at all: not after `until`.
  template <class Judge>
  ModbusResult exchange(std::uint8_t to, const Pdu& asked, BootTime until, bool late_ones, bool& is_sent,
                        Judge&& judge) {
    if (!wait_for_silence()) return why_not_silent();
    if (clock_.boot_now() > until) return ModbusResult::timeout;
    is_sent = true;  // as far as anybody knows
    if (!send(to, asked)) {
      close();
      return ModbusResult::not_connected;
    }
    const BootTime deadline = last_activity_ + timeout_;
    const Duration whole_frame = character_ * (5 + 2 * std::int64_t{kRegistersMax}) + std::chrono::milliseconds(100);
    for (;;) {
      const auto received = reader_.receive(context_.get(), interrupt_, deadline - clock_.boot_now(), whole_frame);
      last_activity_ = std::max(last_activity_, clock_.boot_now());
      switch (received) {
        case Received::timed_out:
          return ModbusResult::timeout;
        case Received::interrupted:
          return ModbusResult::interrupted;
        case Received::lost:
          close();
          return ModbusResult::not_connected;
        case Received::damaged:
          return ModbusResult::bad_reply;
        case Received::foreign:
          continue;
        case Received::frame:
          break;
      }
      const auto frame = reader_.bytes();
      const ModbusResult result = judge(frame[0], frame.subspan(1, frame.size() - 3));
      if (result != ModbusResult::bad_reply || !late_ones) return result;
    }
  }

  bool send(std::uint8_t unit, const Pdu& pdu) {
    Pdu raw{unit};
    raw.insert(raw.end(), pdu.begin(), pdu.end());
    modbus_set_slave(context_.get(), unit);
    const auto frame_bytes = static_cast<int>(raw.size()) + 2;
    const int sent = modbus_send_raw_request(context_.get(), raw.data(), static_cast<int>(raw.size()));
    last_activity_ = clock_.boot_now() + character_ * frame_bytes;
    return sent == frame_bytes;
  }

  // Until nothing has come for the silence between frames. False when the line does not fall silent, or is gone.
  bool wait_for_silence() {
    const BootTime give_up = clock_.boot_now() + timeout_;
    for (;;) {
      const int fd = modbus_get_socket(context_.get());
      const auto waited = wait_for(fd, POLLIN, interrupt_, last_activity_ + silence_ - clock_.boot_now());
      if (waited == WaitResult::timed_out) return true;
      if (waited == WaitResult::interrupted) return false;
      std::array<std::uint8_t, 256> waste{};
      const auto size = ::read(fd, waste.data(), waste.size());
      if (size == 0 || (size < 0 && errno != EAGAIN)) {  // hung up: the adapter was pulled out
        close();
        return false;
      }
      last_activity_ = clock_.boot_now();
      if (last_activity_ > give_up) return false;
    }
  }

  ModbusResult why_not_silent() const {
    if (interrupt_.is_raised()) return ModbusResult::interrupted;
    return is_open_ ? ModbusResult::bad_reply : ModbusResult::not_connected;
  }

  tl::unexpected<Error> refuse(int error) const {
    std::string check = "check the path in the url and that the adapter is plugged in";
    if (error == EACCES) check = "the service's user needs the group of the device, dialout on Debian";
    if (error == ENOTTY || error == EINVAL) check = "it is no serial device, or does not take these settings";
    if (error == EMFILE) check = "a Modbus line needs a descriptor below 1024; too many files and sockets are open";
    return fail(ErrorCode::link_down, describe_errno("open " + path_, error) + ": " + check);
  }

  Context context_;
  const std::string path_;
  const Duration timeout_;
  const Clock& clock_;
  Duration character_{};
  Duration silence_{};
  Interrupt interrupt_;
  FrameReader reader_;
  std::map<std::uint8_t, OwedAnswers> owed_;
  BootTime last_activity_{};
  bool is_open_ = false;
};

}  // namespace

Result<std::unique_ptr<ModbusLink>> make_libmodbus_link(const ModbusBusOptions& options, const Clock& clock) {
  if (options.transport == ModbusTransport::tcp) {
    // The context only takes frames from our socket; it never connects, so its address does not matter.
    Context context = without_surprises(modbus_new_tcp("127.0.0.1", 502));
    if (!context) return fail(ErrorCode::retry, describe_errno("make a Modbus TCP context", errno));
    return std::make_unique<TcpLink>(std::move(context), TcpTarget{options.host, options.port, options.timeout}, clock);
  }
  Context context = without_surprises(
      modbus_new_rtu(options.path.c_str(), options.baud, options.parity, options.data_bits, options.stop_bits));
  if (!context) return fail(ErrorCode::invalid, describe_errno("make a Modbus RTU context for " + options.path, errno));
  return std::make_unique<RtuLink>(std::move(context), options, clock);
}

}  // namespace tidegate::drivers
