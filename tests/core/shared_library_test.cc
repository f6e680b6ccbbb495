#include "core/shared_library.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tidegate {
namespace {

TEST(SharedLibrary, GivesAFunctionThatCanBeCalled) {
  const auto library = SharedLibrary::load("libm.so.6", "libc6");
  ASSERT_TRUE(library) << library.error().message;
  double (*cube_root)(double) = nullptr;
  const auto found = library->find("cbrt", cube_root);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_DOUBLE_EQ(cube_root(27.0), 3.0);
}

TEST(SharedLibrary, NamesThePackageOfALibraryThatIsNotThere) {
  const auto library = SharedLibrary::load("libno-such-thing.so.7", "libno-such-thing7");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().code, ErrorCode::not_found);
  EXPECT_NE(library.error().message.find("libno-such-thing.so.7"), std::string::npos) << library.error().message;
  EXPECT_NE(library.error().message.find("package libno-such-thing7"), std::string::npos) << library.error().message;
}

TEST(SharedLibrary, NamesAFunctionThatALibraryDoesNotHave) {
  const auto library = SharedLibrary::load("libm.so.6", "libc6");
  ASSERT_TRUE(library) << library.error().message;
  double (*function)(double) = nullptr;
  const auto found = library->find("no_such_function", function);
  ASSERT_FALSE(found);
  EXPECT_EQ(function, nullptr);
  EXPECT_NE(found.error().message.find("libm.so.6 has no no_such_function"), std::string::npos)
      << found.error().message;
}

}  // namespace
}  // namespace tidegate
