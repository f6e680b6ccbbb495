#include "mqtt/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509err.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <memory>

#include "core/text.h"

namespace tidegate::mqtt {
namespace {

template <auto release>
struct Release {
  template <class T>
  void operator()(T* object) const {
    release(object);
  }
};
using Context = std::unique_ptr<SSL_CTX, Release<SSL_CTX_free>>;
using Input = std::unique_ptr<BIO, Release<BIO_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;

// What OpenSSL complained of first; its list is empty then.
std::string complaint() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* const reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "no reason is given" : reason;
}

// OpenSSL's own asks at the terminal.
int no_passphrase(char* /*into*/, int /*size*/, int /*is_writing*/, void* /*user*/) { return 0; }

Context make_context() {
  ERR_clear_error();
  Context context(SSL_CTX_new(TLS_method()));
  if (context) SSL_CTX_set_security_level(context.get(), 2);
  return context;
}

tl::unexpected<Error> unusable(const std::string& path, const std::string& wanted) {
  return fail(ErrorCode::invalid, clip(path, 200) + " " + wanted + " (" + complaint() + ")");
}

}  // namespace

void warm_files(const TlsOptions& options) {
  const std::string& authorities = options.ca_file;
  std::array<char, 16 * 1024> piece;
  for (const std::string& path : {authorities.empty() ? std::string(X509_get_default_cert_file()) : authorities,
                                  options.cert_file, options.key_file}) {
    if (!check_regular({path})) continue;
    std::ifstream file(path, std::ios::binary);
    while (file.read(piece.data(), piece.size()) || file.gcount() > 0) {
    }
  }
}

Result<void> check_regular(std::initializer_list<std::string_view> paths) {
  for (const std::string_view path : paths) {
    struct stat status {};
    if (path.empty() || ::stat(std::string(path).c_str(), &status) != 0 || S_ISREG(status.st_mode)) continue;
    return fail(ErrorCode::invalid, clip(path, 200) + " is not a regular file");
  }
  return {};
}

bool load_authorities(SSL_CTX* context, const std::string& path) {
  if (SSL_CTX_load_verify_locations(context, path.c_str(), nullptr) != 1) return false;
  const STACK_OF(X509_OBJECT)* const objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    if (X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) == X509_LU_X509) return true;
  }
  ERR_raise(ERR_LIB_X509, X509_R_NO_CERTIFICATE_FOUND);
  return false;
}

Result<void> check_authorities(const std::string& path) {
  const Context context = make_context();
  if (context && load_authorities(context.get(), path)) return {};
  return unusable(path, "holds no certificates of authorities in PEM");
}

Result<void> check_certificate(const std::string& path) {
  const Context context = make_context();
  if (context && SSL_CTX_use_certificate_chain_file(context.get(), path.c_str()) == 1) return {};
  return unusable(path, "holds no certificate in PEM that can be used");
}

Result<void> check_private_key(const std::string& path) {
  ERR_clear_error();
  const Input input(BIO_new_file(path.c_str(), "r"));
  if (input && PrivateKey(PEM_read_bio_PrivateKey(input.get(), nullptr, no_passphrase, nullptr))) return {};
  return unusable(path, "holds no private key in PEM without a passphrase");
}

Result<void> check_key_of(const std::string& certificate_path, const std::string& key_path) {
  const Context context = make_context();
  if (context) SSL_CTX_set_default_passwd_cb(context.get(), no_passphrase);
  const bool fits = context && SSL_CTX_use_certificate_chain_file(context.get(), certificate_path.c_str()) == 1 &&
                    SSL_CTX_use_PrivateKey_file(context.get(), key_path.c_str(), SSL_FILETYPE_PEM) == 1;
  ERR_clear_error();
  if (fits) return {};
  return fail(ErrorCode::invalid,
              clip(key_path, 200) + " is not the key of the certificate in " + clip(certificate_path, 200));
}

}  // namespace tidegate::mqtt
