#include <csignal>
#include <iostream>

#include "core/log.h"
#include "core/text.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/modbus_values.h"
#include "daemon/config/host_port.h"
#include "daemon/event_loop.h"
#include "drivers/modbus/simulated_server.h"

namespace tidegate::daemon {
namespace {

Result<drivers::SimulatedModbusOptions> to_server_options(const SimulateModbusOptions& options) {
  drivers::SimulatedModbusOptions server;
  const auto units = parse_units(options.units);
  if (!units) return tl::unexpected(units.error());
  server.units = *units;
  server.registers = options.registers;
  server.serial_path = options.serial;
  if (!options.serial.empty()) return server;
  const auto address = parse_host_port(options.listen);
  if (!address || !address->port) {
    return fail(ErrorCode::invalid,
                "--listen \"" + clip(options.listen) + "\": allowed is HOST:PORT, such as 127.0.0.1:1502");
  }
  server.host = address->host;
  server.port = *address->port;
  return server;
}

}  // namespace

int simulate_modbus(const SimulateModbusOptions& options) {
  set_up_logging(LogLevel::info);
  const auto server_options = to_server_options(options);
  if (!server_options) {
    report_failure(server_options.error().message);
    return kExitUsage;
  }
  EventLoop loop;
  const auto server = drivers::start_simulated_modbus(*server_options);
  if (!server) return report_failure(server.error().message);
  for (const int signal_number : {SIGTERM, SIGINT}) loop.on_signal(signal_number, [&loop] { loop.stop(); });
  if (options.serial.empty()) {
    std::cout << "listening on " << server_options->host << ":" << (*server)->port() << std::endl;
  } else {
    std::cout << "answering on " << options.serial << std::endl;
  }
  loop.run();
  (*server)->stop();
  return kExitDone;
}

}  // namespace tidegate::daemon
