import type { Mind } from "../mind.ts"
import type { Prompt } from "../prompt.ts"
import { type Family, type Reply, userSays } from "./family.ts"

/** Greetings and thanks. */
export const chat: Family = {
  family: "chat",
  levels: [1],
  generate: (random) => ({
    messages: userSays(
      random.pick(["Hello", "Hi there!", "Good morning", "Hey, how are you?", "Thanks a lot!"]),
    ),
    reference: { kind: "greeting" },
    hidden: { steps: 0 },
  }),
  attempt,
}

const SMALL_TALK: readonly { readonly heard: RegExp; readonly replies: readonly string[] }[] = [
  {
    heard: /^(?:thanks|thank you)\b/i,
    replies: ["You're welcome! Is there anything else?", "Happy to help! Hello again whenever you need me."],
  },
  {
    heard: /^(?:hello|hi|hey|good (?:morning|afternoon|evening))\b/i,
    replies: ["Hello! How can I help you today?", "Hi there! What can I do for you?"],
  },
]

// Longer than this it is not small talk any more.
const MOST_WORDS = 8

function attempt({ ask }: Prompt, mind: Mind): Reply | undefined {
  const said = ask.trim()
  if (said.split(/\s+/).length > MOST_WORDS) return undefined
  const talk = SMALL_TALK.find(({ heard }) => heard.test(said))
  return talk === undefined ? undefined : { kind: "text", text: mind.luck("small talk").pick(talk.replies) }
}
