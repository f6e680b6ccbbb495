#include "daemon/admin/json_request.h"

#include <gtest/gtest.h>

#include <string>

namespace tidegate::daemon {
namespace {

std::string refusal_of(const std::string& content_type) {
  AdminRequest request;
  request.content_type = content_type;
  const auto refused = refuse_unless_json(request);
  return refused ? std::to_string(refused->status) + " " + refused->body : "";
}

TEST(JsonRequest, takes_json_in_any_case_and_with_parameters) {
  for (const char* type : {"application/json", "Application/JSON", "application/json; charset=utf-8",
                           "application/json;charset=utf-8", "application/json ;q=1"}) {
    EXPECT_EQ(refusal_of(type), "") << type;
  }
}

TEST(JsonRequest, refuses_all_else_and_says_what_it_found) {
  const std::string wanted = "415 {\"error\":\"the content type is to be application/json, found ";
  EXPECT_EQ(refusal_of(""), wanted + "none\"}");
  for (const std::string type : {"text/plain", "application/x-www-form-urlencoded", "application/jsonp",
                                 "application/jso", "text/plain; application/json"}) {
    EXPECT_EQ(refusal_of(type), wanted + "\\\"" + type + "\\\"\"}");
  }
}

}  // namespace
}  // namespace tidegate::daemon
