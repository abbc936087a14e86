#include "core/workflow/judgement.h"

#include "core/status_macros.h"
#include "core/text.h"
#include "core/workflow/json_text.h"
#include "core/workflow/outcome.h"
#include "core/workflow/schema.h"

namespace capstan::workflow {

const char kJudgementSchema[] = R"({
  "$schema": "http://json-schema.org/draft-07/schema#",
  "title": "Whether something is good enough",
  "type": "object",
  "additionalProperties": false,
  "required": ["status", "reason"],
  "properties": {
    "status": {"enum": ["pass", "fail"]},
    "reason": {"type": "string", "minLength": 1, "maxLength": 4000,
               "description": "In one or two sentences, for whoever has to change it."},
    "findings": {"type": "array", "maxItems": 50,
                 "items": {"type": "string", "minLength": 1, "maxLength": 1000},
                 "description": "What has to be changed, one thing each."}
  }
})";

absl::StatusOr<Judgement> ReadJudgement(std::string_view text) {
  CAPSTAN_ASSIGN_OR_RETURN(
      const nlohmann::json answer,
      ParseOnlyObject(text, {.bytes = kMaxAnswerBytes, .depth = kMaxAnswerDepth}));
  CAPSTAN_ASSIGN_OR_RETURN(const nlohmann::json schema, ParseSchema(kJudgementSchema));
  CAPSTAN_RETURN_IF_ERROR(FitsSchema(answer, schema));
  Judgement judgement;
  judgement.passed = answer["status"] == "pass";
  judgement.reason = answer["reason"].get<std::string>();
  for (const nlohmann::json& finding : answer.value("findings", nlohmann::json::array()))
    Append(&judgement.reason, "\n- ", finding.get<std::string>());
  return judgement;
}

}  // namespace capstan::workflow
