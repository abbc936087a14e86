#include "worker/phases/messages_engine.h"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/strip.h"
#include "core/text.h"
#include "worker/http/http_call.h"
#include "worker/phases/conversation.h"
#include "worker/phases/json.h"
#include "worker/phases/message_stream.h"
#include "worker/phases/provider_error.h"
#include "worker/phases/small_file.h"
#include "worker/phases/sse_parser.h"
#include "worker/phases/usage.h"

namespace capstan::phases {
namespace {

using Json = nlohmann::json;
using http::HttpAnswer;
using End = HttpAnswer::End;

constexpr char kApiVersion[] = "anthropic-version: 2023-06-01";
constexpr std::int64_t kAddedTokens = 2000;        // by the provider, such as to explain a schema
constexpr std::int64_t kLeastOutputTokens = 1024;  // less is no answer worth its input
constexpr std::size_t kMaxCountBytes = 64 << 10;   // of the answer of count_tokens

double Random() {
  thread_local std::mt19937 generator(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(generator);
}

// A caller's text becomes a header only when it can be nothing else.
bool IsTraceparent(std::string_view text) {
  constexpr std::size_t kSize = 55;
  return text.size() == kSize &&
         text.find_first_not_of("0123456789abcdef-") == std::string_view::npos;
}

// The ends of an exchange that were ours, not the server's.
std::optional<ProviderError> OwnEnd(End end) {
  switch (end) {
    case End::kStopped:
      return ProviderError{PhaseError::kStopped, "stopped", false, std::nullopt};
    case End::kTimedOut:
      return ProviderError{PhaseError::kTimedOut, "timeout: the time of the call is over", false,
                           std::nullopt};
    case End::kStalled:
      return ProviderError{PhaseError::kStalled,
                           "stall: nothing came from the provider for too long", false,
                           std::nullopt};
    default:
      return std::nullopt;
  }
}

// Of a whole answer. kNone: `text` is the answer.
PhaseError ErrorOfStopReason(const std::string& reason, bool has_text, bool output_was_capped) {
  if (reason == "end_turn" || reason == "stop_sequence") {
    return has_text ? PhaseError::kNone : PhaseError::kNoAnswer;
  }
  if (reason == "refusal") return PhaseError::kRefused;
  if (reason == "model_context_window_exceeded") return PhaseError::kContextOverflow;
  if (reason == "max_tokens" && output_was_capped) return PhaseError::kBudget;
  return PhaseError::kNoAnswer;
}

}  // namespace

// One Run.
class MessagesEngine::Call {
 public:
  Call(MessagesEngine& engine, const PhaseRequest& request, PhaseObserver& observer,
       std::stop_token stop)
      : options_(engine.options_),
        models_(engine.models_),
        clock_(engine.clock_),
        gate_(engine.gate_),
        request_(request),
        observer_(observer),
        stop_(std::move(stop)),
        deadline_(clock_.BootTime() + request.timeout) {}

  PhaseResult Run() {
    if (Prepare() && FitOutput()) Ask();
    return std::move(result_);
  }

 private:
  bool Fail(PhaseError error, std::string message) {
    result_.error = error;
    result_.message = std::move(message);
    return false;
  }

  bool Fail(const ProviderError& error) {
    result_.retry_after = error.retry_after.value_or(absl::ZeroDuration());
    return Fail(error.error, error.message);
  }

  // The model, the conversation and the body, but for max_tokens.
  bool Prepare() {
    const std::string& name = request_.model.empty() ? options_.default_model : request_.model;
    model_ = models_.Find(name);
    if (model_ == nullptr) {
      return Fail(PhaseError::kInvalidRequest,
                  Cat("model: got ", name, ", want one of ", models_.KnownNames()));
    }
    if (request_.resume) {
      absl::StatusOr<Json> messages = ReadConversation(request_.session_state);
      if (!messages.ok()) {
        return Fail(PhaseError::kInvalidRequest, std::string(messages.status().message()));
      }
      messages_ = *std::move(messages);
    }
    messages_.push_back(TextMessage("user", request_.prompt));
    body_ = {{"model", model_->name}, {"messages", messages_}};
    if (!request_.system_prompt.empty()) body_["system"] = request_.system_prompt;
    if (request_.thinking_tokens > 0) {
      body_["thinking"] = {{"type", "enabled"}, {"budget_tokens", request_.thinking_tokens}};
    }
    return request_.schema.empty() || AddSchema();
  }

  bool AddSchema() {
    const std::optional<Json> schema = ParseJson(request_.schema);
    if (!schema.has_value() || !schema->is_object()) {
      return Fail(PhaseError::kInvalidRequest, "schema: got no JSON object, want a JSON schema");
    }
    body_["output_config"] = {{"format", {{"type", "json_schema"}, {"schema", *schema}}}};
    return true;
  }

  // Sets max_tokens so that the answer fits into the window and the money. A token is at least a
  // byte, so only a long prompt has to be counted by the provider.
  bool FitOutput() {
    max_tokens_ = std::min<std::int64_t>(
        std::int64_t{options_.max_output_tokens} + std::max(request_.thinking_tokens, 0),
        model_->max_output_tokens);
    if (request_.thinking_tokens >= max_tokens_) {
      return Fail(
          PhaseError::kInvalidRequest,
          Cat("thinking_tokens: got ", request_.thinking_tokens, ", want less than ", max_tokens_));
    }
    input_bound_ = static_cast<std::int64_t>(JsonText(body_).size()) + kAddedTokens;
    const bool surely_fits =
        input_bound_ + max_tokens_ <= model_->context_tokens && Affordable() >= max_tokens_;
    if (!surely_fits && !CountInput()) return false;
    if (input_bound_ + max_tokens_ > model_->context_tokens) {
      return Fail(PhaseError::kContextOverflow,
                  Cat("prompt: got ", input_bound_, " tokens, want at most ",
                      model_->context_tokens - max_tokens_, " beside an answer of ", max_tokens_));
    }
    return FitMoney();
  }

  bool FitMoney() {
    const std::int64_t affordable = Affordable();
    if (affordable >= max_tokens_) return true;
    if (affordable < kLeastOutputTokens + request_.thinking_tokens) {
      return Fail(PhaseError::kBudget,
                  Cat("max_cost_microusd: got ", request_.max_cost_microusd, ", want at least ",
                      Spent() + WorstCaseCost(*model_, input_bound_,
                                              kLeastOutputTokens + request_.thinking_tokens)));
    }
    max_tokens_ = affordable;
    output_was_capped_ = true;
    return true;
  }

  // Output tokens that can be paid for after the input and what was spent so far.
  std::int64_t Affordable() const {
    if (request_.max_cost_microusd <= 0 || model_->prices.output <= 0) return max_tokens_;
    const std::int64_t left =
        request_.max_cost_microusd - Spent() - WorstCaseCost(*model_, input_bound_, 0);
    return left <= 0 ? 0 : left * 1'000'000 / model_->prices.output;
  }

  std::int64_t Spent() const {
    std::int64_t spent = 0;
    for (const Usage& usage : result_.usage) spent += usage.cost_microusd;
    return spent;
  }

  bool CountInput() {
    std::string text;
    const bool asked = Try("/v1/messages/count_tokens", body_, [&](std::string_view piece) {
      text.append(piece.substr(0, kMaxCountBytes - std::min(text.size(), kMaxCountBytes)));
      return true;
    });
    if (!asked) return false;
    const std::optional<Json> answer = ParseJson(text);
    const std::int64_t tokens = answer.has_value() ? CountField(*answer, "input_tokens") : 0;
    if (tokens == 0) {
      return Fail(PhaseError::kTransient, "count_tokens: got no number of tokens");
    }
    input_bound_ = tokens;
    return true;
  }

  void Ask() {
    tries_ = 0;
    for (;;) {
      body_["max_tokens"] = max_tokens_;
      body_["stream"] = true;
      MessageStream stream([&](std::string_view text) { observer_.OnText(text); });
      if (!PassGate()) return;
      SseParser parser([&](std::string_view, std::string_view data) { stream.OnEvent(data); });
      const HttpAnswer answer = Post("/v1/messages", body_, [&](std::string_view piece) {
        return parser.Add(piece) && stream.health() == MessageStream::Health::kGood &&
               !stream.ended();
      });
      AddBilled(answer, stream);
      if (stream.ended() || Judge(answer, stream)) return Finish(stream);
      if (!again_ || !FitMoney()) return;
    }
  }

  // True: the answer is whole. Otherwise the result has the error, and again_ says whether a new
  // try is due (the wait is over then).
  bool Judge(const HttpAnswer& answer, const MessageStream& stream) {
    again_ = false;
    const bool success = answer.code >= 200 && answer.code < 300;
    if (std::optional<ProviderError> own = OwnEnd(answer.end)) return Fail(*own);
    if (!success || !stream.started()) {
      const bool refused = answer.code != 0 && !success;
      ProviderError error = refused
                                ? JudgeAnswer(answer.code, answer.error_body, answer.headers)
                                : ProviderError{PhaseError::kTransient,
                                                Cat("no answer from the provider: ", answer.detail),
                                                true, std::nullopt};
      if (!refused && stream.health() == MessageStream::Health::kError) {
        error = JudgeErrorEvent(stream.error_body());
      }
      Fail(error);
      again_ = error.try_again && WaitForNextTry(error);
      return false;
    }
    switch (stream.health()) {
      case MessageStream::Health::kError:
        return Fail(JudgeErrorEvent(stream.error_body()));
      case MessageStream::Health::kBroken:
        return Fail(PhaseError::kTransient, "stream: got an event that is not JSON");
      case MessageStream::Health::kTooLarge:
        return Fail(PhaseError::kNoAnswer,
                    Cat("answer: got more than ", MessageStream::kMaxTextBytes, " bytes"));
      case MessageStream::Health::kGood:
        break;
    }
    if (answer.end == End::kWhole) {
      return Fail(PhaseError::kTruncated, "stream: it ended without message_stop");
    }
    if (answer.end == End::kBySink) {
      return Fail(PhaseError::kTransient,
                  Cat("stream: got an event of more than ", SseParser::kMaxEventBytes, " bytes"));
    }
    return Fail(PhaseError::kTransient, Cat("stream: cut off: ", answer.detail));
  }

  void Finish(const MessageStream& stream) {
    const PhaseError error =
        ErrorOfStopReason(stream.stop_reason(), !stream.text().empty(), output_was_capped_);
    if (error != PhaseError::kNone) {
      Fail(error, Cat("stop_reason: got ", stream.stop_reason(), " after ", stream.text().size(),
                      " bytes of text, want end_turn with an answer"));
      return;
    }
    result_.error = PhaseError::kNone;
    result_.message.clear();
    result_.retry_after = absl::ZeroDuration();
    result_.answer = stream.text();
    messages_.push_back(TextMessage("assistant", stream.text()));
    result_.session_state = WriteConversation(messages_);
  }

  // What this try cost; the largest possible where the provider did not say. Answers with an error
  // are not billed.
  void AddBilled(const HttpAnswer& answer, const MessageStream& stream) {
    const bool refused = answer.code != 0 && (answer.code < 200 || answer.code >= 300);
    if (!answer.sent || refused) return;
    Usage usage = stream.usage();
    const Model* model = models_.Find(usage.model);
    if (model == nullptr) model = model_;
    usage.model = model->name;
    usage.turns = 1;
    if (!stream.started()) {
      usage.input_tokens = std::min(input_bound_, model->context_tokens);
      usage.output_tokens = max_tokens_;
      usage.cost_microusd = WorstCaseCost(*model, usage.input_tokens, max_tokens_);
      usage.is_upper_bound = true;
    } else {
      if (!stream.has_output_usage()) usage.output_tokens = max_tokens_;
      usage.is_upper_bound = !stream.has_output_usage();
      usage.cost_microusd = CostOf(model->prices, usage);
    }
    AddUsage(usage, result_.usage);
  }

  // Posts until an answer of 2xx was read whole; for what is not billed. False: the result has the
  // error.
  bool Try(const std::string& path, const Json& body,
           const std::function<bool(std::string_view)>& sink) {
    for (;;) {
      if (!PassGate()) return false;
      const HttpAnswer answer = Post(path, body, sink);
      if (std::optional<ProviderError> own = OwnEnd(answer.end)) return Fail(*own);
      if (answer.end == End::kWhole && answer.code >= 200 && answer.code < 300) return true;
      const ProviderError error =
          answer.end == End::kWhole
              ? JudgeAnswer(answer.code, answer.error_body, answer.headers)
              : ProviderError{PhaseError::kTransient,
                              Cat("no answer from the provider: ", answer.detail), true,
                              std::nullopt};
      Fail(error);
      if (!error.try_again || !WaitForNextTry(error)) return false;
    }
  }

  // False: no more tries, and the result says why.
  bool WaitForNextTry(const ProviderError& error) {
    if (error.retry_after.has_value()) gate_.Pause(*error.retry_after);
    if (++tries_ >= kMaxTries) return false;
    const absl::Duration wait = error.retry_after.value_or(Backoff(tries_, Random()));
    if (wait > kLongestWait || clock_.BootTime() + wait >= deadline_) return false;
    observer_.OnRetry(error.error, tries_, wait);
    if (clock_.SleepFor(wait, stop_)) return true;
    return Fail(PhaseError::kStopped, "stopped");
  }

  // Until this call may begin, as far as all with the key are concerned.
  bool PassGate() {
    const RateGate::Turn turn = gate_.Await(deadline_, kLongestWait, stop_);
    if (turn.mine) return true;
    if (turn.wait == absl::ZeroDuration()) return Fail(PhaseError::kStopped, "stopped");
    result_.retry_after = turn.wait;
    return Fail(PhaseError::kRateLimited,
                Cat("not asked: the next call with this key may begin in ",
                    absl::FormatDuration(absl::Ceil(turn.wait, absl::Seconds(1)))));
  }

  HttpAnswer Post(const std::string& path, const Json& body,
                  const std::function<bool(std::string_view)>& sink) {
    http::HttpCall call;
    call.method = "POST";
    call.url = Cat(absl::StripSuffix(options_.base_url, "/"), path);
    call.headers = {kApiVersion, "content-type: application/json"};
    if (IsTraceparent(request_.traceparent)) {
      call.headers.push_back(Cat("traceparent: ", request_.traceparent));
    }
    if (!options_.api_key_file.empty()) {
      absl::StatusOr<std::string> key = ReadKeyFile(options_.api_key_file);
      if (!key.ok()) return NoKey(key.status());
      call.headers.push_back(Cat("x-api-key: ", *key));
    }
    call.body = JsonText(body);
    call.ca_file = options_.ca_file;
    call.deadline = deadline_;
    call.stall = request_.stall;
    return http::Perform(call, clock_, sink, stop_);
  }

  // As if the provider had said so: it is judged in one place.
  static HttpAnswer NoKey(const absl::Status& status) {
    HttpAnswer answer;
    answer.end = End::kWhole;
    answer.code = 401;
    answer.error_body = std::string(status.message());
    return answer;
  }

  const MessagesOptions& options_;
  const ModelTable& models_;
  Clock& clock_;
  RateGate& gate_;
  const PhaseRequest& request_;
  PhaseObserver& observer_;
  const std::stop_token stop_;
  const absl::Duration deadline_;
  PhaseResult result_;
  const Model* model_ = nullptr;
  Json messages_ = Json::array();
  Json body_;
  std::int64_t max_tokens_ = 0;
  std::int64_t input_bound_ = 0;
  bool output_was_capped_ = false;
  int tries_ = 0;
  bool again_ = false;
};

PhaseResult MessagesEngine::Run(const PhaseRequest& request, PhaseObserver& observer,
                                std::stop_token stop) {
  return Call(*this, request, observer, std::move(stop)).Run();
}

}  // namespace capstan::phases
