#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "tests/drivers/mqtt_subscriber_fixture.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/network.h"
#include "tests/support/process_under_test.h"
#include "tests/support/test_authority.h"
#include "tests/support/tls_front.h"
#include "tests/support/wait_until.h"

namespace tidegate::drivers {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A broker that speaks TLS with a certificate for 127.0.0.1, and wants one of its clients.
class MqttSubscriberTlsTest : public SubscriberRig {
 protected:
  MqttSubscriberTlsTest() {
    authority_.make_authority("ca");
    authority_.make_certificate("server", "ca", "IP:127.0.0.1");
    authority_.make_certificate("elsewhere", "ca", "DNS:elsewhere.example");
    authority_.make_certificate("client", "ca", "DNS:client");
    authority_.make_authority("other");
    authority_.make_certificate("stranger", "other", "DNS:stranger");
    options_.broker.tls.ca_file = authority_.certificate("ca");
    options_.broker.tls.cert_file = authority_.certificate("client");
    options_.broker.tls.key_file = authority_.key("client");
  }
  void start_broker(const std::string& certificate, const std::string& more = "") {
    mosquitto_.set_configuration("cafile " + authority_.certificate("ca") + "\ncertfile " +
                                 authority_.certificate(certificate) + "\nkeyfile " + authority_.key(certificate) +
                                 "\nrequire_certificate true\n" + more);
    mosquitto_.start();
    options_.broker.uri = "mqtts://" + mosquitto_.address();
  }
  bool is_refused() {
    return turn_until([&] { return events("driver-down") == 1; });
  }
  testing::TestAuthority authority_;
  testing::MosquittoBroker mosquitto_;
};

TEST_F(MqttSubscriberTlsTest, TakesMessagesOverTls) {
  start_broker("server");
  start();
  ASSERT_TRUE(wait_until_up()) << driver_->status().detail;
  const auto published =
      testing::run_to_end({"/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", std::to_string(mosquitto_.port()),
                           "--cafile", authority_.certificate("ca"), "--cert", authority_.certificate("client"),
                           "--key", authority_.key("client"), "-q", "1", "-t", "plant/d/t", "-m", "{\"v\":1}"});
  ASSERT_EQ(published.end.exit_code, 0) << published.errors;
  ASSERT_TRUE(turn_until([&] { return !intake_.readings.empty(); }));
  EXPECT_THAT(values(), ElementsAre("d/t=1"));
}

TEST_F(MqttSubscriberTlsTest, SaysGoodbyeOverTls) {
  start_broker("server", "log_type all\n");
  start();
  ASSERT_TRUE(wait_until_up()) << driver_->status().detail;
  driver_->stop();
  EXPECT_TRUE(turn_until([&] { return !driver_->is_leaving(); }));
  EXPECT_TRUE(mosquitto_.wait_for_log("Received DISCONNECT from tidegate-driver"));
}

TEST_F(MqttSubscriberTlsTest, RefusesACertificateForAnotherHost) {
  start_broker("elsewhere");
  start();
  ASSERT_TRUE(is_refused());
  EXPECT_THAT(driver_->status().detail, HasSubstr("the broker's certificate is not accepted"));
  EXPECT_THAT(driver_->status().detail, HasSubstr("IP address mismatch"));
}

TEST_F(MqttSubscriberTlsTest, RefusesACertificateOfAnotherAuthority) {
  start_broker("server");
  options_.broker.tls.ca_file = authority_.certificate("other");
  start();
  ASSERT_TRUE(is_refused());
  EXPECT_THAT(driver_->status().detail, HasSubstr("the broker's certificate is not accepted"));
}

TEST_F(MqttSubscriberTlsTest, TakesAnyCertificateWhereThatIsSwitchedOff) {
  start_broker("elsewhere");
  options_.broker.tls.verify = false;
  start();
  EXPECT_TRUE(wait_until_up()) << driver_->status().detail;
}

TEST_F(MqttSubscriberTlsTest, SaysThatItsOwnCertificateIsRefused) {
  start_broker("server");
  options_.broker.tls.cert_file = authority_.certificate("stranger");
  options_.broker.tls.key_file = authority_.key("stranger");
  start();
  ASSERT_TRUE(is_refused());
  EXPECT_THAT(driver_->status().detail, HasSubstr("the broker does not accept our certificate"));
}

TEST_F(MqttSubscriberTlsTest, TakesNoEndAfterTheHandshakeForTroubleOfTls) {
  const testing::TlsFront front({authority_.certificate("server"), authority_.key("server"), testing::free_port()});
  options_.broker.uri = "mqtts://" + front.address();
  start();
  ASSERT_TRUE(is_refused());
  EXPECT_THAT(driver_->status().detail, HasSubstr("ended the connection after the TLS handshake, before it answered"));
}

TEST_F(MqttSubscriberTlsTest, SaysThatACertificateOfItsOwnIsWanted) {
  start_broker("server", "tls_version tlsv1.2\n");
  options_.broker.tls.cert_file.clear();
  options_.broker.tls.key_file.clear();
  start();
  ASSERT_TRUE(is_refused());
  EXPECT_THAT(driver_->status().detail, HasSubstr("the broker wants a certificate of this gateway"));
}

// As a disk that stalls: whoever opens a file that somebody has a lease of waits for that one.
TEST_F(MqttSubscriberTlsTest, KeepsNobodyWaitingWhileItsFilesAreRead) {
  start_broker("server");
  const std::string name = mosquitto_.directory() + "/authority";
  std::filesystem::copy_file(authority_.certificate("ca"), name);
  const int held = ::open(name.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(held, 0);
  ASSERT_EQ(::fcntl(held, F_SETSIG, SIGURG), 0);  // which is ignored
  ASSERT_EQ(::fcntl(held, F_SETLEASE, F_WRLCK), 0) << std::strerror(errno);
  options_.broker.tls.ca_file = name;
  start();
  EXPECT_TRUE(turn_until([&] { return ::fcntl(held, F_GETLEASE) != F_WRLCK; })) << "nobody reads it";
  turn_out();
  EXPECT_FALSE(driver_->status().up);
  ::close(held);
  EXPECT_TRUE(wait_until_up()) << driver_->status().detail;
}

TEST_F(MqttSubscriberTlsTest, ShowsARenewedCertificateAtTheNextConnection) {
  start_broker("server");
  const std::string certificate = mosquitto_.directory() + "/own.crt";
  const std::string key = mosquitto_.directory() + "/own.key";
  const auto put = [&](const std::string& whose) {
    const auto over = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(authority_.certificate(whose), certificate, over);
    std::filesystem::copy_file(authority_.key(whose), key, over);
  };
  put("stranger");
  options_.broker.tls.cert_file = certificate;
  options_.broker.tls.key_file = key;
  start();
  ASSERT_TRUE(is_refused());
  put("client");
  EXPECT_TRUE(wait_until_up()) << driver_->status().detail;
}

/// A server that speaks one version of TLS only, and no MQTT; the second test shows that the version is what counts.
class MqttSubscriberTlsVersionTest : public MqttSubscriberTlsTest {
 protected:
  void start_server(const std::string& version) {
    const std::uint16_t port = testing::free_port();
    testing::ProcessUnderTest::Options serve;
    serve.arguments = {"/usr/bin/openssl",
                       "s_server",
                       "-accept",
                       "127.0.0.1:" + std::to_string(port),
                       version,
                       "-www",
                       "-state",
                       "-cipher",
                       "ALL:@SECLEVEL=0",
                       "-cert",
                       authority_.certificate("server"),
                       "-key",
                       authority_.key("server")};
    server_ = std::make_unique<testing::ProcessUnderTest>(std::move(serve));
    ASSERT_TRUE(testing::wait_until([&] { return server_->output().find("ACCEPT") != std::string::npos; },
                                    std::chrono::seconds(20)))
        << server_->errors();
    options_.broker.uri = "mqtts://127.0.0.1:" + std::to_string(port);
    options_.broker.connect_timeout = std::chrono::seconds(5);
  }
  bool has_finished() const { return server_->errors().find("write finished") != std::string::npos; }
  std::unique_ptr<testing::ProcessUnderTest> server_;
};

TEST_F(MqttSubscriberTlsVersionTest, RefusesAServerThatOffersTls11Only) {
  start_server("-tls1_1");
  start();
  ASSERT_TRUE(is_refused());
  EXPECT_THAT(driver_->status().detail, HasSubstr("the TLS handshake failed"));
  EXPECT_THAT(driver_->status().detail, HasSubstr("version"));
  EXPECT_FALSE(has_finished()) << server_->errors();
}

TEST_F(MqttSubscriberTlsVersionTest, TakesAServerThatOffersTls12Only) {
  start_server("-tls1_2");
  start();
  EXPECT_TRUE(turn_until([&] { return has_finished(); })) << server_->errors() << driver_->status().detail;
}

TEST_F(MqttSubscriberTlsTest, SaysThatAFileCannotBeRead) {
  start_broker("server");
  options_.broker.tls.ca_file = "/nowhere/ca.pem";
  start();
  ASSERT_TRUE(is_refused());
  EXPECT_THAT(driver_->status().detail, HasSubstr("/nowhere/ca.pem"));
}

TEST_F(MqttSubscriberTlsTest, SaysThatThePortSpeaksNoTls) {
  mosquitto_.start();
  options_.broker.uri = "mqtts://" + mosquitto_.address();
  start();
  ASSERT_TRUE(is_refused());
  EXPECT_THAT(driver_->status().detail, HasSubstr("no connection"));
}

}  // namespace
}  // namespace tidegate::drivers
