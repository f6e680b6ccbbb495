#pragma once

#include <string>
#include <vector>

#include "tests/support/test_authority.h"

namespace tidegate::testing {

/// What a server at 127.0.0.1 may present and no client may accept, each beside the authority that clients trust, and
/// one that they have to accept. Made by the command openssl; throws std::runtime_error.
class BadCertificates {
 public:
  struct Server {
    std::string name;  // what is wrong with it: "expired"
    std::string chain;
    std::string key;
  };

  BadCertificates();

  /// The authority that clients trust.
  std::string authority() const { return authority_.certificate("ca"); }
  /// What it has revoked, and what the authority between it and some servers has.
  std::string revocations() const { return authority_ / "revoked.crl"; }
  const Server& good() const { return good_; }
  /// Refused by any client.
  const std::vector<Server>& bad() const { return bad_; }
  /// Refused by those that are given revocations().
  const Server& revoked() const { return revoked_; }

  /// A configuration of OpenSSL with which a server can present weak keys and signatures.
  std::string lax_configuration() const { return authority_ / "lax.cnf"; }

 private:
  struct Wanted {
    std::string names = "IP:127.0.0.1";
    std::string usage = "serverAuth";
    std::string begins = "20260101000000Z";
    std::string ends = "20491231000000Z";
    std::string digest = "sha256";
    std::vector<std::string> key{"ec", "-pkeyopt", "ec_paramgen_curve:P-256"};
    std::string authority = "ca";
  };

  void make_issuer(const std::string& name);
  Server make(const std::string& name, const Wanted& wanted);
  Server make_self_signed();
  Server make_below_unknown();

  TestAuthority authority_;
  Server good_;
  Server revoked_;
  std::vector<Server> bad_;
};

}  // namespace tidegate::testing
