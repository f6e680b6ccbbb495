// Publishes {"v":0}, {"v":1} ... to plant/ID/count by the synchronous or the asynchronous client of Eclipse Paho C:
// paho_c_publisher [--asynchronous] PORT VERSION(4|5) QOS COUNT ID [CA_FILE]. Exits with 0 when all are acknowledged.
#include <MQTTAsync.h>
#include <MQTTClient.h>

#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr unsigned long kPatienceMilliseconds = 20'000;

struct Load {
  std::string port;
  int version = MQTTVERSION_3_1_1;
  int qos = 0;
  int count = 0;
  std::string id;
  std::string ca_file;
};

bool connect(MQTTClient client, const Load& load, MQTTClient_SSLOptions& tls) {
  MQTTClient_connectOptions old = MQTTClient_connectOptions_initializer;
  MQTTClient_connectOptions five = MQTTClient_connectOptions_initializer5;
  const bool is_v5 = load.version == MQTTVERSION_5;
  MQTTClient_connectOptions& options = is_v5 ? five : old;
  options.MQTTVersion = load.version;
  options.maxInflightMessages = 20;
  options.cleansession = 0;
  if (!load.ca_file.empty()) options.ssl = &tls;
  if (!is_v5) return MQTTClient_connect(client, &options) == MQTTCLIENT_SUCCESS;
  options.cleanstart = 0;
  MQTTProperties properties = MQTTProperties_initializer;
  MQTTProperty expiry{};
  expiry.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL;
  expiry.value.integer4 = 60;
  MQTTProperties_add(&properties, &expiry);
  const MQTTResponse answer = MQTTClient_connect5(client, &options, &properties, nullptr);
  const bool done = answer.reasonCode == MQTTREASONCODE_SUCCESS;
  MQTTResponse_free(answer);
  MQTTProperties_free(&properties);
  return done;
}

bool publish(MQTTClient client, const Load& load, std::vector<MQTTClient_deliveryToken>& tokens) {
  const std::string topic = "plant/" + load.id + "/count";
  for (int i = 0; i < load.count; ++i) {
    std::string payload = "{\"v\":" + std::to_string(i) + "}";
    const int size = static_cast<int>(payload.size());
    MQTTClient_deliveryToken token = 0;
    if (load.version == MQTTVERSION_5) {
      const MQTTResponse sent =
          MQTTClient_publish5(client, topic.c_str(), size, payload.data(), load.qos, 0, nullptr, &token);
      const bool done = sent.reasonCode == MQTTREASONCODE_SUCCESS;
      MQTTResponse_free(sent);
      if (!done) return false;
    } else if (MQTTClient_publish(client, topic.c_str(), size, payload.data(), load.qos, 0, &token) !=
               MQTTCLIENT_SUCCESS) {
      return false;
    }
    if (load.qos > 0) tokens.push_back(token);
  }
  return true;
}

/// What the callbacks of the asynchronous client have told, on a thread of its own.
class Told {
 public:
  void note(bool done) {
    const std::lock_guard lock(mutex_);
    ++(done ? done_ : failed_);
    changed_.notify_all();
  }
  /// So many more; false when one has failed, or it takes too long.
  bool wait_for(int more) {
    std::unique_lock lock(mutex_);
    const int count = waited_for_ += more;
    changed_.wait_for(lock, std::chrono::milliseconds(kPatienceMilliseconds),
                      [&] { return failed_ > 0 || done_ >= count; });
    return failed_ == 0 && done_ >= count;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int done_ = 0;
  int failed_ = 0;
  int waited_for_ = 0;
};

void note_done(void* told, MQTTAsync_successData* /*data*/) { static_cast<Told*>(told)->note(true); }
void note_done_5(void* told, MQTTAsync_successData5* /*data*/) { static_cast<Told*>(told)->note(true); }
void note_failed(void* told, MQTTAsync_failureData* /*data*/) { static_cast<Told*>(told)->note(false); }
void note_failed_5(void* told, MQTTAsync_failureData5* /*data*/) { static_cast<Told*>(told)->note(false); }

/// Of connect, send and disconnect options alike.
template <class Options>
void tell(Options& options, bool is_v5, Told& told) {
  options.context = &told;
  if (is_v5) {
    options.onSuccess5 = note_done_5;
    options.onFailure5 = note_failed_5;
  } else {
    options.onSuccess = note_done;
    options.onFailure = note_failed;
  }
}

bool connect(MQTTAsync client, const Load& load, Told& told) {
  MQTTAsync_connectOptions old = MQTTAsync_connectOptions_initializer;
  MQTTAsync_connectOptions five = MQTTAsync_connectOptions_initializer5;
  MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
  tls.trustStore = load.ca_file.c_str();
  const bool is_v5 = load.version == MQTTVERSION_5;
  MQTTAsync_connectOptions& options = is_v5 ? five : old;
  options.MQTTVersion = load.version;
  options.maxInflight = 20;
  options.cleansession = 0;
  if (!load.ca_file.empty()) options.ssl = &tls;
  tell(options, is_v5, told);
  MQTTProperties properties = MQTTProperties_initializer;
  MQTTProperty expiry{};
  expiry.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL;
  expiry.value.integer4 = 60;
  if (is_v5) {
    options.cleanstart = 0;
    MQTTProperties_add(&properties, &expiry);
    options.connectProperties = &properties;
  }
  const bool done = MQTTAsync_connect(client, &options) == MQTTASYNC_SUCCESS && told.wait_for(1);
  MQTTProperties_free(&properties);
  return done;
}

bool publish(MQTTAsync client, const Load& load, Told& told) {
  const std::string topic = "plant/" + load.id + "/count";
  for (int i = 0; i < load.count; ++i) {
    const std::string payload = "{\"v\":" + std::to_string(i) + "}";
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    tell(response, load.version == MQTTVERSION_5, told);
    if (MQTTAsync_send(client, topic.c_str(), static_cast<int>(payload.size()), payload.data(), load.qos, 0,
                       &response) != MQTTASYNC_SUCCESS) {
      return false;
    }
  }
  return told.wait_for(load.count);
}

bool disconnect(MQTTAsync client, const Load& load, Told& told) {
  MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
  options.timeout = 1000;
  tell(options, load.version == MQTTVERSION_5, told);
  return MQTTAsync_disconnect(client, &options) == MQTTASYNC_SUCCESS && told.wait_for(1);
}

bool run_asynchronous(const Load& load) {
  const std::string url = (load.ca_file.empty() ? "tcp://127.0.0.1:" : "ssl://127.0.0.1:") + load.port;
  MQTTAsync client = nullptr;
  MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
  create.MQTTVersion = load.version;
  if (MQTTAsync_createWithOptions(&client, url.c_str(), load.id.c_str(), MQTTCLIENT_PERSISTENCE_NONE, nullptr,
                                  &create) != MQTTASYNC_SUCCESS) {
    return false;
  }
  Told told;
  const bool done = connect(client, load, told) && publish(client, load, told) && disconnect(client, load, told);
  MQTTAsync_destroy(&client);
  return done;
}

int number_of(std::string_view text) {
  int number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool run(const Load& load) {
  const std::string url = (load.ca_file.empty() ? "tcp://127.0.0.1:" : "ssl://127.0.0.1:") + load.port;
  MQTTClient client = nullptr;
  MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
  create.MQTTVersion = load.version;
  if (MQTTClient_createWithOptions(&client, url.c_str(), load.id.c_str(), MQTTCLIENT_PERSISTENCE_NONE, nullptr,
                                   &create) != MQTTCLIENT_SUCCESS) {
    return false;
  }
  MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
  tls.trustStore = load.ca_file.c_str();
  std::vector<MQTTClient_deliveryToken> tokens;
  bool done = connect(client, load, tls) && publish(client, load, tokens);
  for (const auto token : tokens) {
    done = done && MQTTClient_waitForCompletion(client, token, kPatienceMilliseconds) == MQTTCLIENT_SUCCESS;
  }
  if (load.version == MQTTVERSION_5) {
    MQTTClient_disconnect5(client, 1000, MQTTREASONCODE_SUCCESS, nullptr);
  } else {
    MQTTClient_disconnect(client, 1000);
  }
  MQTTClient_destroy(&client);
  return done;
}

}  // namespace

int main(int count, char** arguments) {
  const bool asynchronous = count > 1 && std::string_view(arguments[1]) == "--asynchronous";
  if (asynchronous) {
    --count;
    ++arguments;
  }
  if (count < 6) {
    std::fprintf(stderr, "usage: paho_c_publisher [--asynchronous] PORT VERSION QOS COUNT ID [CA_FILE]\n");
    return 64;
  }
  const Load load{arguments[1], number_of(arguments[2]),      number_of(arguments[3]), number_of(arguments[4]),
                  arguments[5], count > 6 ? arguments[6] : ""};
  if (asynchronous) {
    MQTTAsync_init_options library = MQTTAsync_init_options_initializer;
    library.do_openssl_init = 1;
    MQTTAsync_global_init(&library);
    return run_asynchronous(load) ? 0 : 1;
  }
  MQTTClient_init_options library = MQTTClient_init_options_initializer;
  library.do_openssl_init = 1;
  MQTTClient_global_init(&library);
  return run(load) ? 0 : 1;
}
