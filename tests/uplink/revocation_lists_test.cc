#include "uplink/revocation_lists.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temporary_directory.h"

namespace tidegate::testing {
namespace {

constexpr const char* kCertificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
constexpr const char* kList = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";

TEST(RevocationListsTest, FindsThemBehindCertificatesAndLooksAgainWhenTheFileIsAnother) {
  const TemporaryDirectory directory;
  const std::string file = directory / "ca.pem";
  uplink::RevocationLists lists;
  EXPECT_FALSE(lists.are_in(file));
  write_file(file, kCertificate);
  EXPECT_FALSE(lists.are_in(file));
  write_file(directory / "next.pem", std::string(kCertificate) + kList);
  std::filesystem::rename(directory / "next.pem", file);
  EXPECT_TRUE(lists.are_in(file));
  EXPECT_TRUE(lists.are_in(file));
  write_file(file, kCertificate);
  EXPECT_FALSE(lists.are_in(file));
}

}  // namespace
}  // namespace tidegate::testing
