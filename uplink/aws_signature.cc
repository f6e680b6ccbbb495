#include "uplink/aws_signature.h"

#include "core/clock.h"
#include "mqtt/sha256.h"
#include "uplink/byte_text.h"

namespace tidegate::uplink {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::size_t kDayLength = 8;

// Values without spaces around them, and one where there are several.
std::string canonical_value(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += c;
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

std::string signed_names(const AwsRequest& request) {
  std::string names;
  for (const auto& header : request.headers) names += (names.empty() ? "" : ";") + header.first;
  return names;
}

std::string canonical_request(const AwsRequest& request) {
  std::string text = request.method + '\n' + request.path + "\n\n";
  for (const auto& [name, value] : request.headers) text += name + ':' + canonical_value(value) + '\n';
  return text + '\n' + signed_names(request) + '\n' + hexadecimal(mqtt::sha256(request.body));
}

}  // namespace

std::string aws_date(WallTime now) {
  std::string date;
  for (const char c : format_utc(now).substr(0, 19)) {
    if (c != '-' && c != ':') date += c;
  }
  return date + 'Z';
}

std::string aws_authorization(const AwsKeys& keys, const std::string& region, const std::string& service,
                              const AwsRequest& request) {
  const std::string& date = request.headers.at("x-amz-date");
  const std::string day = date.substr(0, kDayLength);
  const std::string scope = day + '/' + region + '/' + service + "/aws4_request";
  const std::string to_sign = std::string(kAlgorithm) + '\n' + date + '\n' + scope + '\n' +
                              hexadecimal(mqtt::sha256(canonical_request(request)));
  std::string key = "AWS4" + keys.secret_access_key;
  for (const std::string_view part :
       {std::string_view(day), std::string_view(region), std::string_view(service), std::string_view("aws4_request")}) {
    key = mqtt::hmac_sha256(key, part);
  }
  return std::string(kAlgorithm) + " Credential=" + keys.access_key_id + '/' + scope +
         ", SignedHeaders=" + signed_names(request) + ", Signature=" + hexadecimal(mqtt::hmac_sha256(key, to_sign));
}

}  // namespace tidegate::uplink
