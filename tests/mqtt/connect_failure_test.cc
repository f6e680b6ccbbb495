#include "mqtt/connect_failure.h"

#include <gmock/gmock.h>

#include "mqtt/link_report.h"

namespace tidegate::mqtt {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

BrokerOptions plant_broker() {
  BrokerOptions broker;
  broker.uri = "mqtts://hub.example:8883";
  broker.client_id = "tidegate-plant-7";
  broker.username = "plant";
  broker.password = "secret";
  return broker;
}

TEST(ConnectFailure, EveryReturnCodeOfTheBrokerIsExplained) {
  struct Row {
    int code;
    LinkProblem problem;
    const char* words;
  };
  const Row rows[] = {{1, LinkProblem::refused_login, "MQTT 3.1.1"},
                      {2, LinkProblem::refused_login, "client id \"tidegate-plant-7\""},
                      {3, LinkProblem::unreachable, "not available"},
                      {4, LinkProblem::refused_login, "check username and password"},
                      {5, LinkProblem::refused_login, "user name \"plant\""}};
  for (const Row& row : rows) {
    const LinkState state = explain({row.code, "", ""}, plant_broker());
    EXPECT_FALSE(state.up) << row.code;
    EXPECT_EQ(state.problem, row.problem) << row.code;
    EXPECT_THAT(state.detail, HasSubstr(row.words)) << row.code;
    EXPECT_THAT(state.detail, Not(HasSubstr("secret"))) << row.code;
  }
}

TEST(ConnectFailure, ALoginWithoutUserNameSaysSo) {
  BrokerOptions broker = plant_broker();
  broker.username.clear();
  EXPECT_THAT(explain({5, "", ""}, broker).detail,
              HasSubstr("the broker refuses the login; no user name was given: check whether"));
}

TEST(ConnectFailure, AnAlertOfOursIsTheBrokersCertificate) {
  const LinkState state = explain({-1, "", "unknown CA"}, plant_broker());
  EXPECT_EQ(state.problem, LinkProblem::bad_certificate);
  EXPECT_THAT(state.detail, HasSubstr("unknown CA"));
  EXPECT_THAT(state.detail, HasSubstr("the system's is used"));
}

TEST(ConnectFailure, AnAlertOfTheBrokerIsOurCertificate) {
  BrokerOptions broker = plant_broker();
  const LinkState none = explain({-1, "", "broker: certificate required"}, broker);
  EXPECT_EQ(none.problem, LinkProblem::refused_login);
  EXPECT_THAT(none.detail, HasSubstr("wants a certificate of this gateway (certificate required): none is set"));
  broker.tls.cert_file = "/etc/tidegate/gateway.crt";
  const LinkState wrong = explain({-1, "", "broker: certificate unknown"}, broker);
  EXPECT_EQ(wrong.problem, LinkProblem::refused_login);
  EXPECT_THAT(wrong.detail, HasSubstr("does not accept our certificate (certificate unknown): check cert and key"));
}

TEST(ConnectFailure, AHandshakeThatFailsForAnotherReasonIsRetriedAsUnreachable) {
  const LinkState state = explain({-1, "", "protocol version"}, plant_broker());
  EXPECT_EQ(state.problem, LinkProblem::unreachable);
  EXPECT_FALSE(needs_a_person(state.problem));
}

TEST(ConnectFailure, ARefusalOfVersion5SaysWhatToDo) {
  BrokerOptions broker = plant_broker();
  broker.protocol = ProtocolVersion::v5;
  const auto problem = [&](ReasonCode refusal) { return explain(ConnackPacket{false, refusal, {}}, broker); };
  EXPECT_THAT(problem(ReasonCode::unsupported_protocol_version).detail, HasSubstr("protocol = \"3.1.1\""));
  EXPECT_EQ(problem(ReasonCode::not_authorized).problem, LinkProblem::refused_login);
  EXPECT_EQ(problem(ReasonCode::client_identifier_not_valid).problem, LinkProblem::refused_login);
  EXPECT_EQ(problem(ReasonCode::server_unavailable).problem, LinkProblem::unreachable);
  EXPECT_EQ(problem(ReasonCode::quota_exceeded).problem, LinkProblem::unreachable);
  EXPECT_THAT(problem(ReasonCode::quota_exceeded).detail, HasSubstr("quota exceeded"));
}

TEST(ConnectFailure, ABrokerThatSpeaksNoTlsIsTheFirstThingToLookAt) {
  for (const char* complaint : {"wrong version number", "protocol version", "http request"}) {
    const LinkState state = explain({-1, "", complaint}, plant_broker());
    EXPECT_EQ(state.problem, LinkProblem::unreachable);
    EXPECT_THAT(state.detail, HasSubstr(complaint));
    EXPECT_THAT(state.detail, HasSubstr("that port speaks no TLS: use mqtt:// instead of mqtts://, or the port of TLS"))
        << complaint;
  }
}

TEST(ConnectFailure, AConnectionThatIsResetMayBeForTlsToo) {
  BrokerOptions broker = plant_broker();
  EXPECT_THAT(explain({-1, "Connection reset by peer", ""}, broker).detail,
              HasSubstr("one that does not wants mqtt://"));
  broker.uri = "mqtt://hub.example:1883";
  EXPECT_THAT(explain({-1, "Connection refused", ""}, broker).detail, Not(HasSubstr("TLS")));
}

TEST(ConnectFailure, AnEndAfterTheHandshakeIsNoTroubleOfTheNetworkOrOfTls) {
  BrokerOptions broker = plant_broker();
  broker.protocol = ProtocolVersion::v5;
  const ConnectFailure ended{0, "", "", true, true};
  const ConnectFailure reset{0, "Connection reset by peer", "", false, true};
  const ConnectFailure alarmed{0, "", "broker: access denied", false, true};
  for (const ConnectFailure& failure : {ended, reset, alarmed}) {
    const std::string detail = explain(failure, broker).detail;
    EXPECT_THAT(detail, HasSubstr("the broker ended the connection after the TLS handshake, before it answered"));
    EXPECT_THAT(detail, HasSubstr("check client_id, username and password, and the broker's rules"));
    EXPECT_THAT(detail, HasSubstr("if it knows no MQTT 5, set protocol = \"3.1.1\""));
    EXPECT_THAT(detail, Not(HasSubstr("route")));
  }
  EXPECT_THAT(explain(reset, broker).detail, HasSubstr("(Connection reset by peer)"));
  EXPECT_THAT(explain(alarmed, broker).detail, HasSubstr("(broker: access denied)"));
}

TEST(ConnectFailure, AConnectionThatEndedAtOnceHasTwoCauses) {
  const std::string detail = lost_link(std::chrono::seconds(1), plant_broker()).detail;
  EXPECT_THAT(detail, HasSubstr("it is going down or being restarted, or another client uses client id"));
  EXPECT_THAT(detail, HasSubstr("\"tidegate-plant-7\""));
  EXPECT_THAT(lost_link(std::chrono::minutes(1), plant_broker()).detail, Not(HasSubstr("client id")));
}

TEST(ConnectFailure, AFileThatCannotBeReadIsNamed) {
  BrokerOptions broker = plant_broker();
  EXPECT_EQ(unusable_files(broker), "");
  broker.tls.key_file = "/nowhere/key.pem";
  EXPECT_THAT(unusable_files(broker), HasSubstr("/nowhere/key.pem: No such file"));
}

}  // namespace
}  // namespace tidegate::mqtt
