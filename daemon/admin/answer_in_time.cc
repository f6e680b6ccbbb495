#include "daemon/admin/answer_in_time.h"

#include <memory>
#include <utility>

namespace tidegate::daemon {

AdminRespond answer_in_time(EventLoop& loop, Duration most, AdminRespond respond, std::string late) {
  const auto unanswered = std::make_shared<AdminRespond>(std::move(respond));
  const auto answer = [unanswered](AdminResponse response) {
    if (const auto once = std::exchange(*unanswered, nullptr)) once(std::move(response));
  };
  const std::shared_ptr<Timer> timer = loop.make_timer();
  timer->arm(most, [answer, late = std::move(late)] { answer(refuse(504, late)); });
  return [answer, timer](AdminResponse response) {
    timer->cancel();
    answer(std::move(response));
  };
}

}  // namespace tidegate::daemon
