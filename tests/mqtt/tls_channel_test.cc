// What is said of a TLS connection that does not come about: both sides in memory.
#include "mqtt/tls_channel.h"

#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include <memory>
#include <utility>

#include "mqtt/connect_failure.h"
#include "mqtt/tls_client.h"
#include "tests/support/test_authority.h"

namespace tidegate::mqtt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

/// A broker that has a certificate for 127.0.0.1, and a client that knows its authority.
class TlsWords : public ::testing::Test {
 protected:
  TlsWords() {
    authority_.make_authority("ca");
    authority_.make_certificate("server", "ca", "IP:127.0.0.1");
    SSL_CTX_use_certificate_chain_file(context_.get(), authority_.certificate("server").c_str());
    SSL_CTX_use_PrivateKey_file(context_.get(), authority_.key("server").c_str(), SSL_FILETYPE_PEM);
    broker_.uri = "mqtts://127.0.0.1:8883";
    broker_.client_id = "c";
    broker_.tls.ca_file = authority_.certificate("ca");
  }
  void offer(int version) { version_ = version; }
  void want_certificate() {
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  /// The client's words when it fails; the broker says goodbye after the handshake.
  std::string words() {
    const auto client_side = TlsClient::make(broker_.tls);
    if (!client_side) return client_side.error().message;
    TlsChannel client = std::move(*(*client_side)->connect("127.0.0.1"));
    TlsChannel server = std::move(*TlsChannel::accept(make_server()));
    std::string plain;
    std::string to_server;
    std::string to_client;
    (void)client.receive({}, plain, to_server);
    for (int round = 0; round < 10; ++round) {
      (void)server.receive(std::exchange(to_server, {}), plain, to_client);
      if (round == spoilt_round_) to_client.back() = static_cast<char>(to_client.back() ^ 1);
      if (server.is_ready() && client.is_ready()) server.close(to_client);
      const auto received = client.receive(std::exchange(to_client, {}), plain, to_server);
      if (!received) return explain(failure_of_tls(client, received.error().message), broker_).detail;
    }
    return "nothing failed";
  }

  testing::TestAuthority authority_;
  std::unique_ptr<SSL_CTX, FreeContext> context_{SSL_CTX_new(TLS_server_method())};
  BrokerOptions broker_;
  int spoilt_round_ = -1;

 private:
  // After what the process asks of all connections, which is more than some brokers do.
  SSL* make_server() const {
    SSL* const server = SSL_new(context_.get());
    SSL_set_security_level(server, 0);
    SSL_set_min_proto_version(server, version_);
    SSL_set_max_proto_version(server, version_);
    return server;
  }
  int version_ = TLS1_3_VERSION;
};

TEST_F(TlsWords, AGoodbyeAfterTheHandshakeIsNoTroubleOfTls) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    offer(version);
    EXPECT_THAT(words(), AllOf(HasSubstr("ended the connection after the TLS handshake, before it answered: check "
                                         "client_id"),
                               Not(HasSubstr("speaks TLS"))));
  }
}

TEST_F(TlsWords, AVersionThatIsTooOldIsNamed) {
  offer(TLS1_1_VERSION);
  EXPECT_THAT(words(), HasSubstr("offers no version of TLS that is safe: let it offer 1.2 or 1.3"));
}

TEST_F(TlsWords, ACertificateThatIsWantedIsAskedFor) {
  want_certificate();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    offer(version);
    EXPECT_THAT(words(), AllOf(HasSubstr("the broker wants a certificate of this gateway"),
                               HasSubstr("none is set; set cert and key")));
  }
}

TEST_F(TlsWords, OfAHandshakeThatFailsForAnotherReasonItIsNotSaidThatACertificateIsWanted) {
  SSL_CTX_set_cipher_list(context_.get(), "AES128-SHA");  // with RSA, which this broker's key is not
  offer(TLS1_2_VERSION);
  EXPECT_THAT(words(), AllOf(HasSubstr("the TLS handshake failed (broker: handshake failure)"),
                             HasSubstr("versions and ciphers")));
}

TEST_F(TlsWords, WithoutVerificationTheCertificateIsNotBlamed) {
  authority_.make_authority("other");
  broker_.tls.ca_file = authority_.certificate("other");
  broker_.tls.verify = false;
  offer(TLS1_2_VERSION);
  spoilt_round_ = 1;  // the broker's last word of the handshake
  EXPECT_THAT(words(), AllOf(HasSubstr("the TLS handshake failed"), Not(HasSubstr("certificate"))));
}

}  // namespace
}  // namespace tidegate::mqtt
