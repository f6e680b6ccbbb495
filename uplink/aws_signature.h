#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/time.h"

namespace tidegate::uplink {

struct AwsKeys {
  std::string access_key_id;
  std::string secret_access_key;
};

/// What is signed of a request to AWS.
struct AwsRequest {
  std::string method;
  std::string path = "/";                      // as it is sent; nothing that would have to be encoded
  std::map<std::string, std::string> headers;  // names in small letters; `host` and `x-amz-date` among them
  std::string_view body;
};

/// "20150830T123600Z".
std::string aws_date(WallTime now);

/// The value of the header Authorization by "AWS Signature Version 4" (AWS, "Create a signed AWS API request"), for
/// requests without a query. Signs all headers that it is given.
std::string aws_authorization(const AwsKeys& keys, const std::string& region, const std::string& service,
                              const AwsRequest& request);

}  // namespace tidegate::uplink
