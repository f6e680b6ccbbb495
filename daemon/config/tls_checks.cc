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

}  // namespace tidegate::daemon
