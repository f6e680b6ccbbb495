#include "mqtt/connect_failure.h"

#include <unistd.h>

#include "core/error.h"
#include "core/text.h"
#include "mqtt/tls_channel.h"

#include <cerrno>

namespace tidegate::mqtt {
namespace {

// MQTT 3.1.1, table 3.1.
enum ConnackCode : int {
  kBadProtocol = 1,
  kBadClientId = 2,
  kServerUnavailable = 3,
  kBadLogin = 4,
  kNotAuthorized = 5
};

constexpr std::size_t kWordsBytesShown = 300;
constexpr std::string_view kByBroker = "broker: ";

LinkState down(LinkProblem problem, std::string detail) { return LinkState{false, problem, std::move(detail)}; }

std::string login_words(const BrokerOptions& broker) {
  if (broker.username.empty()) {
    return "; no user name was given: check whether the broker wants username and password, and what it lets client id "
           "\"" +
           clip(broker.client_id) + "\" do";
  }
  return " with user name \"" + clip(broker.username) + "\": check username and password, and the broker's own list";
}

// A broker that speaks TLS 1.0 or 1.1 only says so, or answers in it.
bool is_old_version(const std::string& complaint) {
  return complaint == "broker: protocol version" || complaint == "unsupported protocol";
}

// The answer was none of TLS. OpenSSL's alert for that is the one for a version that is too old.
bool is_other_language(const std::string& complaint) {
  return !complaint.starts_with(kByBroker) &&
         (complaint.ends_with("wrong version number") || complaint.ends_with("protocol version") ||
          complaint.ends_with("http request") || complaint.ends_with("packet length too long"));
}

std::string handshake_words(const std::string& complaint) {
  if (is_old_version(complaint)) return "the broker offers no version of TLS that is safe: let it offer 1.2 or 1.3";
  if (is_other_language(complaint)) {
    return "mostly that port speaks no TLS: use mqtt:// instead of mqtts://, or the port of TLS";
  }
  if (!complaint.starts_with(kByBroker)) return "check whether that port speaks TLS";
  return "check the broker's log, its versions and ciphers of TLS, and whether it wants a certificate (cert and key)";
}

// Brokers that refuse a client by their rules for it do so without an answer, some of them.
LinkState explain_end_after_tls(const std::string& how, const BrokerOptions& broker) {
  return down(LinkProblem::unreachable,
              "the broker ended the connection after the TLS handshake, before it answered" +
                  (how.empty() ? "" : " (" + how + ")") + ": check client_id, " +
                  (broker.tls.cert_file.empty() ? "" : "cert, ") +
                  "username and password, and the broker's rules (policies) for them" +
                  (broker.protocol == ProtocolVersion::v5 ? "; if it knows no MQTT 5, set protocol = \"3.1.1\"" : ""));
}

LinkState explain_tls(const ConnectFailure& failure, const BrokerOptions& broker) {
  const std::string& complaint = failure.tls_complaint;
  const bool about_certificates = complaint.find("certificate") != std::string::npos ||
                                  complaint.find("unknown CA") != std::string::npos ||
                                  complaint.find("host name") != std::string::npos;
  if (!about_certificates && failure.is_after_tls) return explain_end_after_tls(complaint, broker);
  if (!about_certificates) {
    return down(LinkProblem::unreachable,
                "the TLS handshake failed (" + complaint + "): " + handshake_words(complaint));
  }
  if (complaint.starts_with(kByBroker)) {
    const std::string words = " (" + complaint.substr(kByBroker.size()) + "): ";
    return down(LinkProblem::refused_login,
                broker.tls.cert_file.empty()
                    ? "the broker wants a certificate of this gateway" + words + "none is set; set cert and key"
                    : "the broker does not accept our certificate" + words + "check cert and key");
  }
  return down(LinkProblem::bad_certificate,
              "the broker's certificate is not accepted (" + complaint + "): check ca" +
                  (broker.tls.ca_file.empty() ? " (none is set, the system's is used)" : " " + broker.tls.ca_file) +
                  ", the host name in the certificate, and this gateway's clock");
}

LinkState explain_connack(ReasonCode refusal, const BrokerOptions& broker) {
  if (refusal == ReasonCode::unsupported_protocol_version && broker.protocol == ProtocolVersion::v5) {
    return down(LinkProblem::refused_login, "the broker does not speak MQTT 5: set protocol = \"3.1.1\"");
  }
  if (refusal == ReasonCode::use_another_server || refusal == ReasonCode::server_moved) {
    return down(LinkProblem::unsuitable, std::string("the broker is not the one to connect to: ") + to_string(refusal));
  }
  const int code = connack_code_v3(refusal);
  const bool is_plain = code != kServerUnavailable || refusal == ReasonCode::server_unavailable;
  if (is_plain) return explain(ConnectFailure{code, {}, {}}, broker);
  return down(LinkProblem::unreachable, std::string("the broker takes no connection now: ") + to_string(refusal));
}

// What it says itself, in MQTT 5.
std::string words_of(const Properties& said) {
  std::string words;
  if (said.has(PropertyId::reason_string)) {
    words += "; it says \"" + clip(said.text(PropertyId::reason_string), kWordsBytesShown) + '"';
  }
  if (said.has(PropertyId::server_reference)) {
    words += "; it names the server \"" + clip(said.text(PropertyId::server_reference), kWordsBytesShown) +
             "\": set \"broker\" to that";
  }
  return words;
}

// What a TlsChannel failed with, without its beginning.
std::string tls_complaint_of(const std::string& problem) {
  for (const std::string_view beginning : {"TLS handshake: ", "TLS: "}) {
    if (problem.starts_with(beginning)) return tls_complaint_of(problem.substr(beginning.size()));
  }
  constexpr std::string_view kAlert = " alert ";
  const auto alert = problem.find(kAlert);
  if (alert == std::string::npos) return problem;
  const std::string text = problem.substr(alert + kAlert.size());
  return std::string(kByBroker) + (text == "unknown ca" ? "unknown CA" : text);
}

std::string network_words(const ConnectFailure& failure, const BrokerOptions& broker) {
  if (!failure.is_end) return failure.message;
  if (broker.protocol != ProtocolVersion::v5) return "the broker ended the connection";
  return "the broker ended the connection, as some do that know no MQTT 5: if it is one, set protocol = \"3.1.1\"";
}

}  // namespace

ConnectFailure failure_of_tls(const TlsChannel& tls, const std::string& problem) {
  ConnectFailure failure;
  failure.is_after_tls = tls.is_ready();
  failure.is_end = tls.has_ended() && tls.is_ready();
  if (!failure.is_end) failure.tls_complaint = tls_complaint_of(problem);
  return failure;
}

LinkState explain(const ConnectFailure& failure, const BrokerOptions& broker) {
  switch (failure.code) {
    case kBadProtocol:
      return down(LinkProblem::refused_login, "the broker does not speak MQTT 3.1.1");
    case kBadClientId:
      return down(LinkProblem::refused_login, "the broker refuses client id \"" + clip(broker.client_id) +
                                                  "\": check client_id and the broker's rules for it");
    case kServerUnavailable:
      return down(LinkProblem::unreachable, "the broker says that it is not available now");
    case kBadLogin:
    case kNotAuthorized:
      return down(LinkProblem::refused_login, "the broker refuses the login" + login_words(broker));
    default:
      break;
  }
  if (!failure.tls_complaint.empty()) return explain_tls(failure, broker);
  if (failure.is_after_tls) return explain_end_after_tls(failure.message, broker);
  const std::string words = network_words(failure, broker);
  return down(LinkProblem::unreachable, "no connection" + (words.empty() ? "" : " (" + words + ")") +
                                            ": check name, port, route and whether the broker runs" +
                                            (broker.uri.starts_with("mqtts://")
                                                 ? ", and whether that port speaks TLS; one that does not wants mqtt://"
                                                 : ""));
}

LinkState explain(const ConnackPacket& refusal, const BrokerOptions& broker) {
  LinkState state = explain_connack(refusal.reason, broker);
  state.detail += words_of(refusal.properties);
  return state;
}

LinkState explain(const DisconnectPacket& end, const BrokerOptions& broker) {
  std::string detail = std::string("the broker ended the connection: ") + to_string(end.reason);
  if (end.reason == ReasonCode::session_taken_over) {
    detail += ": check whether another client uses client id \"" + clip(broker.client_id) + "\"";
  }
  return down(LinkProblem::lost, detail + words_of(end.properties));
}

bool needs_a_person(LinkProblem problem) {
  return problem == LinkProblem::refused_login || problem == LinkProblem::bad_certificate ||
         problem == LinkProblem::unusable_file || problem == LinkProblem::unsuitable;
}

std::string unusable_files(const BrokerOptions& broker) {
  for (const std::string* file : {&broker.tls.ca_file, &broker.tls.cert_file, &broker.tls.key_file}) {
    if (!file->empty() && ::access(file->c_str(), R_OK) != 0) return describe_errno("cannot read " + *file, errno);
  }
  return {};
}

}  // namespace tidegate::mqtt
