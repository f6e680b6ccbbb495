#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/process_under_test.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::testing {

/// Certificates of authorities that a test makes, by the command openssl. Throws std::runtime_error.
class TestAuthority {
 public:
  void make_authority(const std::string& name) const {
    openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
             "/CN=" + name, "-keyout", key(name), "-out", certificate(name)});
  }
  /// `names` are those that it bears: "IP:127.0.0.1", "DNS:host".
  void make_certificate(const std::string& name, const std::string& authority, const std::string& names) const {
    write_file(directory_ / (name + ".names"), "subjectAltName=" + names + "\n");
    openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name, "-keyout",
             key(name), "-out", directory_ / (name + ".csr")});
    openssl({"x509", "-req", "-in", directory_ / (name + ".csr"), "-CA", certificate(authority), "-CAkey",
             key(authority), "-CAcreateserial", "-days", "30", "-extfile", directory_ / (name + ".names"), "-out",
             certificate(name)});
  }
  std::string certificate(const std::string& name) const { return directory_ / (name + ".crt"); }
  std::string key(const std::string& name) const { return directory_ / (name + ".key"); }
  std::string operator/(const std::string& file) const { return directory_ / file; }

  /// The command openssl.
  static void openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/usr/bin/openssl");
    const auto done = run_to_end(std::move(arguments));
    if (done.end.exit_code != 0) throw std::runtime_error("openssl: " + done.errors);
  }

 private:
  TemporaryDirectory directory_;
};

}  // namespace tidegate::testing
