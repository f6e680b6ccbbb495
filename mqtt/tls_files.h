#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "core/error.h"
#include "mqtt/broker_options.h"

struct ssl_ctx_st;

namespace tidegate::mqtt {

/// Reads what a TLS client will read, and keeps nothing of it: the files are then in the memory of the kernel, and
/// whoever must not wait for a disk does not. Without OpenSSL, so that it may still run when the process ends. Any
/// thread.
void warm_files(const TlsOptions& options);

/// That each of them is a regular file, as far as it is named: OpenSSL waits for the other end of a FIFO, and reads on
/// and on in a device, whatever thread it is in. One that is not there is left to OpenSSL to complain of.
Result<void> check_regular(std::initializer_list<std::string_view> paths);

/// Whether OpenSSL can use the files of a TLS configuration, found out before there is a connection. They are taken as
/// a connection would take them, weak keys refused; whether a certificate is still valid is not looked at, because at a
/// start the clock may be wrong. Errors `invalid` name the file, what was found and what would be right. Any thread.
Result<void> check_authorities(const std::string& path);
/// Authorities, and lists of what they have revoked, for the connections of `context`. False when the file has none: a
/// list alone lets nobody in. OpenSSL's list of errors says why.
bool load_authorities(ssl_ctx_st* context, const std::string& path);
Result<void> check_certificate(const std::string& path);
/// A key without a passphrase.
Result<void> check_private_key(const std::string& path);
/// That the two belong together. Both are good by themselves.
Result<void> check_key_of(const std::string& certificate_path, const std::string& key_path);

}  // namespace tidegate::mqtt
