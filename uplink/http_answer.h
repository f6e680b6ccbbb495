#pragma once

#include <cstdint>
#include <string>

#include "core/time.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink {

/// What came back of a request.
struct HttpAnswer {
  std::string problem;  // why there is no answer, or no whole one; then the rest says nothing
  long status = 0;
  std::string body;        // its beginning
  std::string location;    // of a redirection
  Duration retry_after{};  // zero: none
};

/// Whether another try may well be answered otherwise.
bool is_for_a_time(long status);

/// What that means for the batch.
struct HttpVerdict {
  bool acknowledged = false;
  BatchFailure failure;   // when it is not
  std::string trouble;    // in words; empty when nobody needs to do anything about it
  bool may_pass = false;  // worth telling only when it comes again
};

/// 2xx but 207 acknowledges; 413 asks for smaller batches; 408, 425, 429, 5xx and no answer are tried again; all else
/// is a refusal, which only changes here or there will end: of what is in the batch 400, 422, and 413 of one record
/// alone. `records` are the batch's.
HttpVerdict judge(const HttpAnswer& answer, std::uint32_t records);

}  // namespace tidegate::uplink
