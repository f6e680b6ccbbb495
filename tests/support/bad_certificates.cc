#include "tests/support/bad_certificates.h"

#include <filesystem>

namespace tidegate::testing {
namespace {

// "openssl ca" rather than "openssl x509": only that takes any begin and end, and keeps what lists of revocations need.
constexpr const char* kIssuerConfiguration = R"([ca]
default_ca = here
[here]
database = {dir}/{name}.index
serial = {dir}/{name}.serial
new_certs_dir = {dir}
certificate = {dir}/{name}.crt
private_key = {dir}/{name}.key
default_md = sha256
default_crl_days = 3000
policy = any
unique_subject = no
[any]
commonName = optional
)";

constexpr const char* kLaxConfiguration = R"(openssl_conf = all
[all]
ssl_conf = tls
[tls]
system_default = lax
[lax]
CipherString = DEFAULT@SECLEVEL=0
)";

std::string replaced(std::string text, const std::string& part, const std::string& by) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + by.size())) {
    text.replace(at, part.size(), by);
  }
  return text;
}

}  // namespace

BadCertificates::BadCertificates() {
  write_file(lax_configuration(), kLaxConfiguration);
  authority_.make_authority("ca");
  make_issuer("ca");
  authority_.make_authority("other-ca");
  make_issuer("other-ca");
  good_ = make("good", {});
  revoked_ = make("revoked", {});
  TestAuthority::openssl({"ca", "-config", authority_ / "ca.cnf", "-revoke", revoked_.chain});
  TestAuthority::openssl({"ca", "-config", authority_ / "ca.cnf", "-gencrl", "-out", revocations()});
  bad_ = {make("expired", {.begins = "20200101000000Z", .ends = "20210101000000Z"}),
          make("not-yet-valid", {.begins = "20480101000000Z"}),
          make("wrong-host", {.names = "DNS:other.example"}),
          make("wrong-address", {.names = "IP:127.0.0.2"}),
          make("no-name", {.names = ""}),
          make("wrong-authority", {.authority = "other-ca"}),
          make_self_signed(),
          make("weak-key", {.key = {"rsa:1024"}}),
          make("sha1", {.digest = "sha1"}),
          make("wrong-usage", {.usage = "clientAuth"}),
          make_below_unknown()};
}

void BadCertificates::make_issuer(const std::string& name) {
  const std::string directory = std::filesystem::path(authority_.certificate(name)).parent_path();
  write_file(authority_ / (name + ".cnf"),
             replaced(replaced(kIssuerConfiguration, "{dir}", directory), "{name}", name));
  write_file(authority_ / (name + ".index"), "");
  write_file(authority_ / (name + ".serial"), "1000\n");
}

BadCertificates::Server BadCertificates::make(const std::string& name, const Wanted& wanted) {
  std::vector<std::string> request{
      "req",    "-nodes", "-subj", "/CN=" + name, "-keyout", authority_.key(name), "-out", authority_ / (name + ".csr"),
      "-newkey"};
  request.insert(request.end(), wanted.key.begin(), wanted.key.end());
  TestAuthority::openssl(request);
  const std::string names = wanted.names.empty() ? "" : "subjectAltName=" + wanted.names + "\n";
  write_file(authority_ / (name + ".ext"), names + "extendedKeyUsage=" + wanted.usage + "\n");
  TestAuthority::openssl({"ca", "-batch", "-notext", "-config", authority_ / (wanted.authority + ".cnf"), "-md",
                          wanted.digest, "-startdate", wanted.begins, "-enddate", wanted.ends, "-extfile",
                          authority_ / (name + ".ext"), "-in", authority_ / (name + ".csr"), "-out",
                          authority_.certificate(name)});
  return {name, authority_.certificate(name), authority_.key(name)};
}

BadCertificates::Server BadCertificates::make_self_signed() {
  const std::string name = "self-signed";
  TestAuthority::openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                          "3000", "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                          authority_.key(name), "-out", authority_.certificate(name)});
  return {name, authority_.certificate(name), authority_.key(name)};
}

// Its issuer is one that the trusted authority has signed, and that the server does not present.
BadCertificates::Server BadCertificates::make_below_unknown() {
  const std::string issuer = "between";
  TestAuthority::openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                          "/CN=" + issuer, "-keyout", authority_.key(issuer), "-out", authority_ / (issuer + ".csr")});
  write_file(authority_ / (issuer + ".ext"), "basicConstraints=critical,CA:true\n");
  TestAuthority::openssl({"ca", "-batch", "-notext", "-config", authority_ / "ca.cnf", "-days", "3000", "-extfile",
                          authority_ / (issuer + ".ext"), "-in", authority_ / (issuer + ".csr"), "-out",
                          authority_.certificate(issuer)});
  make_issuer(issuer);
  return make("truncated-chain", {.authority = issuer});
}

}  // namespace tidegate::testing
