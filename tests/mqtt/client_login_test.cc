#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

#include "mqtt/client.h"
#include "tests/mqtt/client_recorder.h"
#include "tests/support/mosquitto_broker.h"
#include "tests/support/tls_front.h"

namespace tidegate::mqtt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

bool run(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

BrokerOptions quick_options(const std::string& uri) {
  BrokerOptions options;
  options.uri = uri;
  options.client_id = "tidegate-test";
  options.reconnect_first = milliseconds(10);
  options.reconnect_most = milliseconds(50);
  return options;
}

TEST(ClientLogin, ARefusedLoginIsSaidOnceAndTriedAgain) {
  testing::MosquittoBroker broker("allow_anonymous false\npassword_file {dir}/passwords");
  ASSERT_TRUE(run("mosquitto_passwd -b -c " + broker.directory() + "/passwords plant right"));
  broker.start();
  BrokerOptions options = quick_options(broker.uri());
  options.username = "plant";
  options.password = "wrong";
  ClientRecorder recorder;
  const auto client = make_client(options, {}, recorder.handlers());
  client->start();
  ASSERT_TRUE(recorder.wait_until_down(LinkProblem::refused_login));
  ASSERT_TRUE(broker.wait_for_log("not authorised", 3)) << broker.log();
  ASSERT_EQ(recorder.links().size(), 1U);
  EXPECT_THAT(recorder.links()[0].detail, HasSubstr("user name \"plant\""));

  // The right password reaches the broker's list: the client finds out by itself.
  ASSERT_TRUE(run("mosquitto_passwd -b " + broker.directory() + "/passwords plant wrong"));
  ::kill(broker.pid(), SIGHUP);
  EXPECT_TRUE(recorder.wait_until_up());
}

class ClientTlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string dir = broker_.directory();
    ASSERT_TRUE(make_authority(dir + "/ca"));
    ASSERT_TRUE(make_authority(dir + "/other"));
    ASSERT_TRUE(make_certificate(dir + "/right", "IP:127.0.0.1"));
    ASSERT_TRUE(make_certificate(dir + "/elsewhere", "DNS:elsewhere.example"));
  }
  static bool make_authority(const std::string& name) {
    return run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=test-ca -keyout " +
        name + ".key -out " + name + ".crt");
  }
  bool make_certificate(const std::string& name, const std::string& subject) const {
    const std::string ca = broker_.directory() + "/ca";
    std::ofstream(name + ".ext") << "subjectAltName=" << subject << "\n";
    return run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=broker -keyout " + name +
               ".key -out " + name + ".csr") &&
           run("openssl x509 -req -in " + name + ".csr -CA " + ca + ".crt -CAkey " + ca +
               ".key -CAcreateserial -days 30 -extfile " + name + ".ext -out " + name + ".crt");
  }
  void start_broker_as(const std::string& certificate, const std::string& more = "") {
    broker_.set_configuration("certfile {dir}/" + certificate + ".crt\nkeyfile {dir}/" + certificate + ".key\n" + more);
    broker_.start();
  }
  BrokerOptions tls_options(const std::string& authority) const {
    BrokerOptions options = quick_options("mqtts://" + broker_.address());
    options.tls.ca_file = broker_.directory() + "/" + authority + ".crt";
    return options;
  }
  LinkState first_state_of(const BrokerOptions& options) {
    const auto client = make_client(options, {}, recorder_.handlers());
    client->start();
    EXPECT_TRUE(recorder_.wait_until_told_of_link(1));
    client->stop(seconds(5));
    return recorder_.links().empty() ? LinkState{} : recorder_.links()[0];
  }

  testing::MosquittoBroker broker_;
  ClientRecorder recorder_;
};

TEST_F(ClientTlsTest, ConnectsToABrokerThatItsAuthorityKnows) {
  start_broker_as("right");
  EXPECT_TRUE(first_state_of(tls_options("ca")).up);
}

TEST_F(ClientTlsTest, AnUnknownAuthorityIsACertificateProblem) {
  start_broker_as("right");
  const LinkState state = first_state_of(tls_options("other"));
  EXPECT_EQ(state.problem, LinkProblem::bad_certificate) << state.detail;
  EXPECT_THAT(state.detail, HasSubstr("unable to get local issuer certificate"));
}

TEST_F(ClientTlsTest, WithoutAnAuthorityTheSystemsAreAskedAndDoNotKnowThisBroker) {
  start_broker_as("right");
  BrokerOptions options = tls_options("ca");
  options.tls.ca_file.clear();
  EXPECT_EQ(first_state_of(options).problem, LinkProblem::bad_certificate);
}

TEST_F(ClientTlsTest, ACertificateForAnotherHostIsACertificateProblem) {
  start_broker_as("elsewhere");
  const LinkState state = first_state_of(tls_options("ca"));
  EXPECT_EQ(state.problem, LinkProblem::bad_certificate) << state.detail;
  EXPECT_THAT(state.detail, HasSubstr("host name"));
}

TEST_F(ClientTlsTest, VerificationThatIsSwitchedOffTakesAnyCertificate) {
  start_broker_as("elsewhere");
  BrokerOptions options = tls_options("other");
  options.tls.verify = false;
  EXPECT_TRUE(first_state_of(options).up);
}

TEST_F(ClientTlsTest, ABrokerThatWantsACertificateGetsOne) {
  start_broker_as("right", "cafile {dir}/ca.crt\nrequire_certificate true");
  BrokerOptions options = tls_options("ca");
  options.tls.cert_file = broker_.directory() + "/elsewhere.crt";
  options.tls.key_file = broker_.directory() + "/elsewhere.key";
  EXPECT_TRUE(first_state_of(options).up);
}

// As brokers do that refuse a client id by their rules.
TEST_F(ClientTlsTest, AnEndAfterTheHandshakeIsNotTakenForTroubleOfTls) {
  const std::string name = broker_.directory() + "/right";
  const testing::TlsFront front({name + ".crt", name + ".key", testing::free_port()});
  BrokerOptions options = tls_options("ca");
  options.uri = "mqtts://" + front.address();
  const LinkState state = first_state_of(options);
  EXPECT_EQ(state.problem, LinkProblem::unreachable);
  EXPECT_THAT(state.detail, HasSubstr("ended the connection after the TLS handshake, before it answered"));
}

TEST_F(ClientTlsTest, AMissingFileIsNamed) {
  start_broker_as("right");
  const LinkState state = first_state_of(tls_options("missing"));
  EXPECT_EQ(state.problem, LinkProblem::unusable_file);
  EXPECT_THAT(state.detail, HasSubstr("missing.crt"));
}

TEST_F(ClientTlsTest, AnotherReasonOfTheSameTroubleIsTold) {
  start_broker_as("right");
  BrokerOptions options = tls_options("late");
  options.tls.key_file = broker_.directory() + "/missing.key";
  const auto client = make_client(options, {}, recorder_.handlers());
  client->start();
  ASSERT_TRUE(recorder_.wait_until_told_of_link(1));
  ASSERT_TRUE(run("cp " + broker_.directory() + "/ca.crt " + options.tls.ca_file));
  ASSERT_TRUE(recorder_.wait_until_told_of_link(2));
  client->stop(seconds(5));
  EXPECT_THAT(recorder_.links()[0].detail, HasSubstr("late.crt"));
  EXPECT_THAT(recorder_.links()[1].detail, HasSubstr("missing.key"));
}

}  // namespace
}  // namespace tidegate::mqtt
