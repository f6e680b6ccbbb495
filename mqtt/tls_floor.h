#pragma once

namespace tidegate::mqtt {

/// From the first call on every TLS connection of this process, whichever library makes it, has at least TLS 1.2 and
/// OpenSSL's security level 2 (keys of 2,048 bits, no SHA-1). Where the authorities that were loaded for it come with
/// lists of revoked certificates, those count: the whole chain is checked, and a certificate whose issuer has no list
/// that is still valid is refused. Not every library has settings for both. Any thread.
void raise_tls_floor();

}  // namespace tidegate::mqtt
