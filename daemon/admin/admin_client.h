#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/time.h"
#include "daemon/config/admin_address.h"

namespace tidegate::daemon {

/// The daemon as a command finds it: its admin address, how it is known there, and what it is shown.
struct AdminDoor {
  // Also from an address alone, of a daemon that wants neither TLS nor a token.
  AdminDoor(AdminAddress where) : address(std::move(where)) {}  // NOLINT(google-explicit-constructor)

  AdminAddress address;
  bool is_tls = false;
  std::string ca_file{};           // authorities of its certificate; empty: those of the system
  std::string certificate_file{};  // not empty: its very certificate, instead of authorities and a name
  std::string token{};             // empty: none
};

inline constexpr Duration kAdminPatience = std::chrono::seconds(30);

struct AdminAnswer {
  unsigned status = 0;
  std::string body;
  std::string retry_after{};  // seconds; empty where it does not say so
};

/// One request to the admin address, with a JSON document where there is one; the answer whatever its status is, or an
/// error that names the address. Blocking, and so long at most for each step: connecting, asking, the answer.
Result<AdminAnswer> admin_ask(const AdminDoor& door, std::string_view method, const std::string& target,
                              const std::string& json, Duration patience);

/// The body of a request that was answered with 200, else an error that names the address and what was answered:
/// `retry` for what may be over soon.
Result<std::string> admin_body(const AdminDoor& door, const std::string& target, Result<AdminAnswer> answer);
/// One GET, and its body.
Result<std::string> admin_get(const AdminDoor& door, const std::string& target, Duration patience = kAdminPatience);
/// One POST of a JSON document, likewise.
Result<std::string> admin_post(const AdminDoor& door, const std::string& target, const std::string& json);

}  // namespace tidegate::daemon
