#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tidegate::drivers {

/// Who may connect: a file of lines "NAME:$7$ITERATIONS$SALT$HASH", as mosquitto_passwd writes them (PBKDF2 with
/// SHA-512; salt and hash in base64). Passwords are never kept in the clear.
class UserList {
 public:
  /// The content of the file. An error names the line, and never what stands behind the name.
  static Result<std::unique_ptr<UserList>> parse(std::string_view content);

  /// Takes as long for a user that does not exist as for one that does.
  bool admits(std::string_view name, std::string_view password) const;
  std::size_t size() const { return users_.size(); }

 private:
  struct Password {
    int iterations = 0;
    std::string salt;
    std::string hash;
  };
  static Result<Password> parse_password(std::string_view text);

  std::map<std::string, Password, std::less<>> users_;
};

}  // namespace tidegate::drivers
