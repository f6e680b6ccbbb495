#pragma once

#include <stdexcept>
#include <string>

#include "tests/support/process_under_test.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::testing {

/// A certificate that is its own authority, its key, and a key of another; in PEM.
struct TlsTexts {
  std::string certificate;
  std::string key;
  std::string other_key;
};

/// Made once a process, by the command openssl.
inline const TlsTexts& tls_texts() {
  static const TlsTexts kTexts = [] {
    const TemporaryDirectory directory;
    const auto make = [&](const std::string& name) {
      const auto done = run_to_end({"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=" + name,
                                    "-keyout", directory / (name + ".key"), "-out", directory / (name + ".crt")});
      if (done.end.exit_code != 0) throw std::runtime_error("openssl: " + done.errors);
    };
    make("one");
    make("other");
    return TlsTexts{read_file(directory / "one.crt"), read_file(directory / "one.key"),
                    read_file(directory / "other.key")};
  }();
  return kTexts;
}

}  // namespace tidegate::testing
