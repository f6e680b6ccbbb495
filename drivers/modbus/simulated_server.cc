#include "drivers/modbus/simulated_server.h"

#include <modbus/modbus.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>
#include <thread>
#include <tuple>

#include "core/clock.h"
#include "core/descriptor.h"
#include "drivers/modbus/interrupt.h"
#include "drivers/modbus/reply_check.h"
#include "drivers/modbus/simulated_device.h"

namespace tidegate::drivers {
namespace {

constexpr std::size_t kClientsMax = 64;
constexpr int kTablesEnd = 65536;

struct FreeContext {
  void operator()(modbus_t* context) const {
    modbus_close(context);
    modbus_free(context);
  }
};
struct FreeMapping {
  void operator()(modbus_mapping_t* mapping) const { modbus_mapping_free(mapping); }
};
using Context = std::unique_ptr<modbus_t, FreeContext>;
using Mapping = std::unique_ptr<modbus_mapping_t, FreeMapping>;

// Modbus over Serial Line 1.02, 6.2.2; low byte first on the wire.
std::uint16_t crc16(std::span<const std::uint8_t> bytes) {
  unsigned crc = 0xffff;
  for (const auto byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) ? (crc >> 1) ^ 0xa001U : crc >> 1;
  }
  return static_cast<std::uint16_t>(crc);
}

// A request, as far as the simulation looks into it.
struct Query {
  std::span<const std::uint8_t> frame;
  std::size_t header = 0;  // bytes in front of the function
  std::uint8_t unit() const { return frame[header - 1]; }
  std::uint8_t function() const { return frame[header]; }
  std::uint16_t word(std::size_t at) const {
    return static_cast<std::uint16_t>((frame[header + at] << 8) | frame[header + at + 1]);
  }
  std::uint16_t address() const { return word(1); }
  std::uint16_t count() const { return word(3); }

  std::optional<ModbusTable> read_table() const {
    for (const auto table : {ModbusTable::coil, ModbusTable::discrete, ModbusTable::holding, ModbusTable::input}) {
      if (function() == read_function(table)) return table;
    }
    return std::nullopt;
  }
  std::optional<ModbusTable> written_table() const {
    switch (function()) {
      case MODBUS_FC_WRITE_SINGLE_COIL:
      case MODBUS_FC_WRITE_MULTIPLE_COILS:
        return ModbusTable::coil;
      case MODBUS_FC_WRITE_SINGLE_REGISTER:
      case MODBUS_FC_WRITE_MULTIPLE_REGISTERS:
        return ModbusTable::holding;
      default:
        return std::nullopt;
    }
  }
  std::uint16_t written_count() const {
    const bool many = function() == MODBUS_FC_WRITE_MULTIPLE_COILS || function() == MODBUS_FC_WRITE_MULTIPLE_REGISTERS;
    return many ? count() : std::uint16_t{1};
  }
};

class Server final : public SimulatedModbusServer {
 public:
  Server(SimulatedModbusOptions options, Context context, Mapping mapping, Descriptor listener)
      : options_(std::move(options)),
        context_(std::move(context)),
        mapping_(std::move(mapping)),
        listener_(std::move(listener)),
        started_(clock_.boot_now()) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (!listener_.is_open()) return;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    // The port lies at the same place in both.
    port_ = ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                                : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  }

  ~Server() override { stop(); }

  Result<void> start() {
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
      return fail(ErrorCode::retry, std::string("thread of the simulated Modbus server: ") + error.what());
    }
    return {};
  }

  std::uint16_t port() const override { return port_; }

  void set_faults(std::uint8_t unit, SimulatedModbusFaults faults) override {
    const std::lock_guard lock(mutex_);
    faults_[unit] = std::move(faults);
  }

  void set_value(std::uint8_t unit, ModbusTable table, std::uint16_t address, std::uint16_t value) override {
    const std::lock_guard lock(mutex_);
    written_[{unit, table, address}] = value;
  }

  std::uint64_t requests(std::uint8_t unit) const override {
    const std::lock_guard lock(mutex_);
    return requests_[unit];
  }

  std::uint64_t connections() const override {
    const std::lock_guard lock(mutex_);
    return connections_;
  }

  void stop() override {
    interrupt_.raise();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void run() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    pthread_setname_np(pthread_self(), "simulated");
    if (!listener_.is_open()) {
      serve_line();
    } else {
      while (serve_sockets()) {
      }
    }
  }

  void serve_line() {
    for (;;) {
      const auto waited = wait_for(modbus_get_socket(context_.get()), POLLIN, interrupt_, std::chrono::hours(1));
      if (waited == WaitResult::interrupted) return;
      if (waited == WaitResult::timed_out) continue;
      const int size = receive_from_line();
      if (size > 0) answer({std::span(frame_).first(static_cast<std::size_t>(size)), 1});
      // A hung-up line is readable for ever: look again only after a while.
      if (size < 0 && wait_for(-1, 0, interrupt_, std::chrono::milliseconds(20)) == WaitResult::interrupted) return;
    }
  }

  // The size of the request, 0 when it is to be ignored, -1 for noise.
  int receive_from_line() {
    const int size = modbus_receive(context_.get(), frame_.data());
    if (size < 0) modbus_flush(context_.get());
    if (size != 0) return size;
    // libmodbus serves one unit and takes what follows a request to another one for that one's reply. Nothing follows
    // yet, so this ends at once and it forgets about it.
    std::array<std::uint8_t, MODBUS_MAX_ADU_LENGTH> nothing{};
    modbus_receive(context_.get(), nothing.data());
    const bool many = frame_[1] == MODBUS_FC_WRITE_MULTIPLE_COILS || frame_[1] == MODBUS_FC_WRITE_MULTIPLE_REGISTERS;
    const std::size_t body = many ? std::size_t{7} + frame_[6] : 6;
    if (body + 2 > frame_.size()) return 0;
    const std::uint16_t crc = crc16(std::span(frame_).first(body));
    const bool sound = frame_[body] == (crc & 0xff) && frame_[body + 1] == crc >> 8;
    return sound ? static_cast<int>(body + 2) : 0;
  }

  // One round over all sockets; false when the server is to stop.
  bool serve_sockets() {
    std::vector<pollfd> entries{{interrupt_.fd(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const auto& client : clients_) entries.push_back({client.get(), POLLIN, 0});
    if (::poll(entries.data(), entries.size(), -1) < 0) return errno == EINTR;
    if (entries[0].revents != 0) return false;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (entries[i + 2].revents != 0 && !serve_client(clients_[i].get())) clients_[i].reset();
    }
    std::erase_if(clients_, [](const Descriptor& client) { return !client.is_open(); });
    if (entries[1].revents != 0) accept_client();
    return true;
  }

  void accept_client() {
    Descriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.is_open() || client.get() >= FD_SETSIZE || clients_.size() >= kClientsMax) return;
    clients_.push_back(std::move(client));
    const std::lock_guard lock(mutex_);
    ++connections_;
  }

  bool serve_client(int fd) {
    modbus_set_socket(context_.get(), fd);
    const int size = modbus_receive(context_.get(), frame_.data());
    const bool served = size > 0 && answer({std::span(frame_).first(static_cast<std::size_t>(size)), 7});
    modbus_set_socket(context_.get(), -1);  // or libmodbus would close it once more
    return served;
  }

  // False when the answer did not get out.
  bool answer(const Query& query) {
    SimulatedModbusFaults faults;
    {
      const std::lock_guard lock(mutex_);
      ++requests_[query.unit()];
      const auto found = faults_.find(query.unit());
      if (found != faults_.end()) faults = found->second;
    }
    const bool ours = std::find(options_.units.begin(), options_.units.end(), query.unit()) != options_.units.end();
    if (!ours || faults.silent) return true;
    if (wait_for(-1, 0, interrupt_, faults.delay) == WaitResult::interrupted) return true;
    if (const auto exception = exception_for(query, faults)) {
      return modbus_reply_exception(context_.get(), query.frame.data(), *exception) >= 0;
    }
    if (faults.wrong != WrongReply::none) return answer_wrongly(query, faults.wrong);
    load(query);
    const bool sent =
        modbus_reply(context_.get(), query.frame.data(), static_cast<int>(query.frame.size()), mapping_.get()) >= 0;
    keep_written(query);
    return sent;
  }

  static std::optional<std::uint8_t> exception_for(const Query& query, const SimulatedModbusFaults& faults) {
    const auto table = query.read_table();
    if (!table) return std::nullopt;
    const int first = query.address();
    const int last = first + query.count() - 1;
    for (const auto& refused : faults.refused) {
      if (refused.table == *table && first <= refused.last && last >= refused.first) return refused.exception;
    }
    return std::nullopt;
  }

  std::uint16_t value_of(std::uint8_t unit, ModbusTable table, std::uint16_t address) const {
    const auto found = written_.find({unit, table, address});
    if (found != written_.end()) return found->second;
    return options_.moving ? moving_value(table, address, clock_.boot_now() - started_)
                           : fixed_value(unit, table, address);
  }

  // Puts what is about to be read into libmodbus' mapping, which knows nothing of units.
  void load(const Query& query) {
    const auto table = query.read_table();
    if (!table) return;
    const std::lock_guard lock(mutex_);
    const std::uint32_t end =
        std::min<std::uint32_t>(query.address() + std::uint32_t{query.count()}, options_.registers);
    for (std::uint32_t i = query.address(); i < end; ++i) {
      const std::uint16_t value = value_of(query.unit(), *table, static_cast<std::uint16_t>(i));
      switch (*table) {
        case ModbusTable::coil:
          mapping_->tab_bits[i] = value != 0;
          break;
        case ModbusTable::discrete:
          mapping_->tab_input_bits[i] = value != 0;
          break;
        case ModbusTable::input:
          mapping_->tab_input_registers[i] = value;
          break;
        case ModbusTable::holding:
          mapping_->tab_registers[i] = value;
          break;
      }
    }
  }

  void keep_written(const Query& query) {
    const auto table = query.written_table();
    if (!table) return;
    const std::lock_guard lock(mutex_);
    const std::uint32_t end =
        std::min<std::uint32_t>(query.address() + std::uint32_t{query.written_count()}, options_.registers);
    for (std::uint32_t i = query.address(); i < end; ++i) {
      written_[{query.unit(), *table, static_cast<std::uint16_t>(i)}] =
          *table == ModbusTable::coil ? mapping_->tab_bits[i] : mapping_->tab_registers[i];
    }
  }

  // What libmodbus would not send: put together by hand, for reads of registers.
  bool answer_wrongly(const Query& query, WrongReply wrong) {
    const int count = wrong == WrongReply::byte_count ? query.count() - 1 : query.count();
    const auto head = query.frame.first(query.header);
    std::vector<std::uint8_t> reply(head.begin(), head.end());
    reply.push_back(query.function());
    reply.push_back(static_cast<std::uint8_t>(count * 2));
    for (int i = 0; i < count; ++i) {
      reply.push_back(0xde);
      reply.push_back(0xad);
    }
    if (wrong == WrongReply::unit) reply[query.header - 1] ^= 1U;
    if (wrong == WrongReply::function) reply[query.header] ^= 7U;
    finish(reply, query.header, wrong);
    const std::size_t size = wrong == WrongReply::truncated ? reply.size() - 1 : reply.size();
    return ::write(modbus_get_socket(context_.get()), reply.data(), size) == static_cast<ssize_t>(size);
  }

  static void finish(std::vector<std::uint8_t>& reply, std::size_t header, WrongReply wrong) {
    if (header == 1) {
      const auto crc = static_cast<std::uint16_t>(crc16(reply) ^ (wrong == WrongReply::checksum ? 1U : 0U));
      reply.push_back(static_cast<std::uint8_t>(crc & 0xff));
      reply.push_back(static_cast<std::uint8_t>(crc >> 8));
      return;
    }
    reply[4] = static_cast<std::uint8_t>((reply.size() - 6) >> 8);
    reply[5] = static_cast<std::uint8_t>((reply.size() - 6) & 0xff);
    if (wrong == WrongReply::transaction) reply[1] ^= 0x55U;
  }

  const SimulatedModbusOptions options_;
  const SystemClock clock_;
  Context context_;
  Mapping mapping_;
  Descriptor listener_;
  const BootTime started_;
  std::uint16_t port_ = 0;
  Interrupt interrupt_;
  std::thread thread_;

  // The thread's.
  std::vector<Descriptor> clients_;
  std::array<std::uint8_t, MODBUS_MAX_ADU_LENGTH> frame_{};

  mutable std::mutex mutex_;
  std::map<std::uint8_t, SimulatedModbusFaults> faults_;
  std::map<std::tuple<std::uint8_t, ModbusTable, std::uint16_t>, std::uint16_t> written_;
  std::array<std::uint64_t, 256> requests_{};
  std::uint64_t connections_ = 0;
};

Result<Context> open_line(const SimulatedModbusOptions& options) {
  Context context(modbus_new_rtu(options.serial_path.c_str(), options.baud, options.parity, 8, options.stop_bits));
  if (!context) return fail(ErrorCode::invalid, describe_errno("serial line " + options.serial_path, errno));
  modbus_set_slave(context.get(), options.units.front());
  if (modbus_connect(context.get()) != 0) {
    return fail(ErrorCode::invalid, describe_errno("open " + options.serial_path, errno));
  }
  return context;
}

Result<Descriptor> listen_on(modbus_t* context, const SimulatedModbusOptions& options) {
  Descriptor listener(modbus_tcp_pi_listen(context, static_cast<int>(kClientsMax)));
  if (listener.is_open()) return listener;
  return fail(ErrorCode::invalid,
              describe_errno("listen on " + options.host + ":" + std::to_string(options.port), errno));
}

}  // namespace

Result<std::unique_ptr<SimulatedModbusServer>> start_simulated_modbus(const SimulatedModbusOptions& options) {
  if (options.units.empty()) return fail(ErrorCode::invalid, "a simulated Modbus server needs at least one unit");
  if (options.registers < 1 || options.registers > kTablesEnd) {
    return fail(ErrorCode::invalid,
                "simulated registers: " + std::to_string(options.registers) + " found, 1 to 65536 is allowed");
  }
  const bool line = !options.serial_path.empty();
  auto context =
      line ? open_line(options)
           : Result<Context>(Context(modbus_new_tcp_pi(options.host.c_str(), std::to_string(options.port).c_str())));
  if (!context) return tl::unexpected(context.error());
  if (!*context) return fail(ErrorCode::retry, describe_errno("make a Modbus context", errno));
  Descriptor listener;
  if (!line) {
    auto listening = listen_on(context->get(), options);
    if (!listening) return tl::unexpected(listening.error());
    listener = std::move(*listening);
  }
  // The response time-out is how long libmodbus sleeps before it refuses a request; the other two bound how long a
  // client that sends half a request holds up the rest.
  modbus_set_response_timeout(context->get(), 0, 1000);
  modbus_set_indication_timeout(context->get(), 0, 200'000);
  modbus_set_byte_timeout(context->get(), 0, 0);
  const int size = static_cast<int>(options.registers);
  Mapping mapping(modbus_mapping_new(size, size, size, size));
  if (!mapping) return fail(ErrorCode::retry, describe_errno("make a Modbus mapping", errno));
  auto server = std::make_unique<Server>(options, std::move(*context), std::move(mapping), std::move(listener));
  if (auto started = server->start(); !started) return tl::unexpected(started.error());
  return server;
}

}  // namespace tidegate::drivers
