#include "uplink/aws_signer.h"

#include <utility>

#include "uplink/aws_signature.h"
#include "uplink/secret_values.h"

namespace tidegate::uplink {
namespace {

// As libcurl makes it: without the port that the scheme has anyway.
std::string host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const bool is_tls = url.starts_with("https:");
  std::string_view host = url.substr(scheme == std::string_view::npos ? 0 : scheme + 3);
  host = host.substr(0, host.find('/'));
  const std::string_view usual = is_tls ? ":443" : ":80";
  if (host.ends_with(usual)) host.remove_suffix(usual.size());
  return std::string(host);
}

}  // namespace

Result<std::vector<std::string>> AwsSigner::lines(std::string_view url, std::string_view body, WallTime now) {
  for (HttpHeader* const secret : {&aws_.access_key_id, &aws_.secret_access_key, &aws_.session_token}) {
    if (auto read = read_secret_again(*secret); !read) return tl::unexpected(read.error());
  }
  if (aws_.access_key_id.is_secret) sent_.add(aws_.access_key_id.value);
  sent_.add(aws_.secret_access_key.value);
  sent_.add(aws_.session_token.value);
  AwsRequest request;
  request.method = "POST";
  request.body = body;
  request.headers = {{"content-type", "application/x-amz-json-1.1"},
                     {"host", host_of(url)},
                     {"x-amz-date", aws_date(now)},
                     {"x-amz-target", "Kinesis_20131202.PutRecords"}};
  if (!aws_.session_token.value.empty()) request.headers["x-amz-security-token"] = aws_.session_token.value;
  std::vector<std::string> lines{
      "Authorization: " +
      aws_authorization({aws_.access_key_id.value, aws_.secret_access_key.value}, aws_.region, "kinesis", request)};
  for (const auto& [name, value] : request.headers) {
    if (name.starts_with("x-amz-")) lines.push_back(name + ": " + value);
  }
  return lines;
}

std::string AwsSigner::redact(std::string text) const { return sent_.without(std::move(text)); }

}  // namespace tidegate::uplink
