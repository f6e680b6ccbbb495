#include "daemon/config/tls_checks.h"

#include "mqtt/tls_files.h"

namespace tidegate::daemon {

void check_tls_files(const TlsFiles& files, const Scope& tls) {
  const auto is_good = [&](const char* name, const std::string& path, Result<void> (*check)(const std::string&)) {
    if (path.empty() || !tls.has(name) || !tls.is_sound(name)) return false;
    const auto checked = check(path);
    if (!checked) tls.wrong(name, checked.error().message);
    return checked.has_value();
  };
  is_good("ca", files.ca, mqtt::check_authorities);
  const bool has_certificate = is_good("cert", files.cert, mqtt::check_certificate);
  if (!is_good("key", files.key, mqtt::check_private_key) || !has_certificate) return;
  if (const auto fits = mqtt::check_key_of(files.cert, files.key); !fits) tls.wrong("key", fits.error().message);
}

void check_tls_table(const mqtt::TlsOptions& options, const std::string& peer, const Scope& tls) {
  if (tls.has("cert") != tls.has("key")) {
    const bool has_cert = tls.has("cert");
    tls.wrong(has_cert ? "cert" : "key",
              std::string("needs the key \"") + (has_cert ? "key" : "cert") + "\" beside it");
  }
  check_tls_files({options.ca_file, options.cert_file, options.key_file}, tls);
  if (!options.verify) {
    tls.odd("insecure_skip_verification_i_know_what_i_do", "the " + peer + "'s certificate is not checked");
  }
}

}  // namespace tidegate::daemon
