#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <initializer_list>
#include <iostream>
#include <utility>

#include "core/log.h"
#include "daemon/admin/admin_api.h"
#include "daemon/admin/admin_guard.h"
#include "daemon/admin/admin_refusals.h"
#include "daemon/admin/admin_server.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/problems.h"
#include "daemon/config/config.h"
#include "daemon/gateway.h"
#include "daemon/heap_keeper.h"
#include "daemon/start_pages.h"

namespace tidegate::daemon {
namespace {

constexpr Duration kStartAgainAfter = std::chrono::seconds(1);

// Passwords and keys are in it: no core file, and no look into it for whoever runs as the same user. Debuggers and
// sanitizers of a build for tests may.
void keep_memory_private() {
#ifndef TIDEGATE_TEST_HOOKS
  ::prctl(PR_SET_DUMPABLE, 0);
#endif
}

// Until somebody handles them signals wait: for process 1 of a container the kernel would drop them, and what was asked
// for would never be done. Of this thread, and of those that it starts.
void change_mask(int how, std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) sigaddset(&set, number);
  ::pthread_sigmask(how, &set, nullptr);
}
void let_in(std::initializer_list<int> numbers) { change_mask(SIG_UNBLOCK, numbers); }
void keep_waiting(std::initializer_list<int> numbers) { change_mask(SIG_BLOCK, numbers); }

// Of a container, where they are nobody else's. What has ended already is not what ends from here on.
void take_orphans() {
  std::signal(SIGCHLD, SIG_IGN);
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

/// Waits on the loop; false when a stop has been asked for, which still waits itself.
bool wait_on(EventLoop& loop, Duration time) {
  const auto timer = loop.make_timer();
  timer->arm(time, [&loop] { loop.stop(); });
  loop.run();
  sigset_t waiting;
  sigpending(&waiting);
  return sigismember(&waiting, SIGTERM) != 1 && sigismember(&waiting, SIGINT) != 1;
}

/// A full disk may have room again soon, and nobody is there to start us then. Nothing when told to stop meanwhile.
Result<std::unique_ptr<Gateway>> open_gateway(const Config& config, EventLoop& loop, const Clock& clock) {
  bool said = false;
  for (;;) {
    auto gateway = std::make_unique<Gateway>(config, loop, clock);
    const auto opened = gateway->open();
    if (opened) return gateway;
    if (opened.error().code != ErrorCode::full) return tl::unexpected(opened.error());
    if (!said) log_error("gateway", "cannot start, trying again every second: {}", opened.error().message);
    said = true;
    gateway.reset();
    if (!wait_on(loop, kStartAgainAfter)) return nullptr;
  }
}

Result<std::unique_ptr<AdminServer>> serve_admin(EventLoop& loop, const GatewayOptions& options, AdminHandler handler,
                                                 AdminRefusals& refusals) {
  auto started = start_admin_server(loop, options.admin, {std::move(handler), refusals, options.admin_tls});
  if (!started) return started;
  const std::string scheme = options.admin_tls.certificate.empty() ? "http://" : "https://";
  const std::string address = (*started)->address();
  log_info("gateway", "admin address {}{}{}", address,
           options.admin.kind == AdminAddress::Kind::tcp ? ", status page " + scheme + address + "/" : "",
           options.admin_token.empty() ? "" : ", for who has the token");
  return started;
}

int give_up_start(Gateway& gateway, EventLoop& loop, const std::string& why) {
  const int code = report_failure(why);
  gateway.close();
  loop.run();
  return code;
}

int run(const Config& config) {
  const SystemClock clock;
  EventLoop loop;
  const AdminAddress admin = config.gateway.admin;
  auto opened = open_gateway(config, loop, clock);
  if (!opened) return report_failure(opened.error().message);
  if (*opened == nullptr) return kExitDone;
  Gateway& gateway = **opened;

  AdminRefusals refusals;
  AdminApi api(gateway, refusals);
  const AdminHandler inner = [&api](const AdminRequest& request, const AdminRespond& respond) {
    api.answer(request, respond);
  };
  AdminGuard guard(
      gateway.clock(), [&gateway]() -> const std::string& { return gateway.configuration().gateway.admin_token; },
      AdminGuard::Site{!config.gateway.admin_tls.certificate.empty(), config.gateway.id, refusals}, inner);
  const AdminHandler guarded = [&guard](const AdminRequest& request, const AdminRespond& respond) {
    guard.answer(request, respond);
  };
  for (const int signal_number : {SIGTERM, SIGINT}) {
    loop.on_signal(signal_number, [&api, &gateway] {
      api.end();
      gateway.stop();
    });
  }
  let_in({SIGTERM, SIGINT});
  std::unique_ptr<AdminServer> server;
  if (admin.kind != AdminAddress::Kind::off) {
    auto started = serve_admin(loop, config.gateway, config.gateway.admin_token.empty() ? inner : guarded, refusals);
    if (!started) return give_up_start(gateway, loop, started.error().message);
    server = std::move(*started);
  }
  // Who asks for one over the address has made it look at its files with that.
  loop.on_signal(SIGHUP, [&gateway, &server] {
    if (server) server->read_files_anew();
    gateway.reloader().reload([](const ReloadAnswer&) {});
  });
  let_in({SIGHUP});
  if (const auto started = gateway.start(); !started) return give_up_start(gateway, loop, started.error().message);
  log_info("gateway", "ready");
  const StartPages start_pages(loop);
  const HeapKeeper heap_keeper(loop);
  loop.run();
  log_info("gateway", "stopped");
  return kExitDone;
}

}  // namespace

void print_problems(const std::vector<Problem>& problems) {
  const std::string priority = journal_prefix(LogLevel::error);
  for (const auto& problem : problems) std::cerr << priority << format_problem(problem) << '\n';
}

int run_gateway(const std::string& config_file, const std::string& log_level) {
  keep_memory_private();
  keep_waiting({SIGTERM, SIGINT, SIGHUP});
  if (::getpid() == 1) take_orphans();
  const auto level = parse_log_level(log_level);
  if (!level) {
    report_failure(level.error().message);
    return kExitUsage;
  }
  // As a reload will: files that are named beside it are then the same ones by name, too.
  auto config = load_config(std::filesystem::absolute(config_file).lexically_normal().string());
  if (!config) {
    print_problems(config.error());
    return kExitConfiguration;
  }
  HeapKeeper::bound_allocator();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk
  set_up_logging(*level);
  for (const auto& warning : config->warnings) log_warning("config", "{}", format_problem(warning));
  return run(*config);
}

int check_config(const std::string& config_file) {
  const auto config = load_config(config_file);
  if (!config) {
    print_problems(config.error());
    return kExitConfiguration;
  }
  print_problems(config->warnings);
  std::cout << config_file << " is valid\n";
  return kExitDone;
}

int print_config_reference() {
  std::cout << configuration_reference();
  return kExitDone;
}

int report_failure(const std::string& message) {
  std::cerr << journal_prefix(LogLevel::error) << "tidegate: " << message << '\n';
  return kExitFailed;
}

}  // namespace tidegate::daemon
