import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { estimateTokens } from "./estimate-tokens.ts"
import { utf8Bytes } from "./utf8-bytes.ts"

// Exact counts by o200k_base.
const COUNTED = [
  {
    kind: "prose",
    exact: 36,
    error: 0.05,
    text:
      "Please compare the two deployment strategies for our payment service. The first keeps a single region and " +
      "fails over by hand; the second runs active-active in two regions with a quorum store.",
  },
  {
    kind: "code",
    exact: 29,
    error: 0.05,
    text: "export function add(left: number, right: number): number {\n  return left + right\n}\n\nconsole.log(add(1, 2))\n",
  },
  {
    kind: "Chinese",
    exact: 32,
    error: 0.1,
    text: "请比较我们支付服务的两种部署策略。第一种保留一个区域并手动切换；第二种在两个区域中主动运行。",
  },
  {
    kind: "Korean",
    exact: 31,
    error: 0.1,
    text: "우리 결제 서비스의 두 가지 배포 전략을 비교해 주세요. 첫 번째는 하나의 리전을 유지하고 수동으로 전환합니다.",
  },
  {
    kind: "Thai",
    exact: 39,
    error: 0.1,
    text: "กรุณาเปรียบเทียบกลยุทธ์การติดตั้งสองแบบสำหรับบริการชำระเงินของเรา แบบแรกใช้ภูมิภาคเดียวและสลับด้วยมือ",
  },
  {
    kind: "Hebrew",
    exact: 35,
    error: 0.15,
    text: "אנא השוו בין שתי אסטרטגיות הפריסה של שירות התשלומים שלנו. הראשונה שומרת על אזור אחד ועוברת באופן ידני.",
  },
  {
    kind: "Polish, whose words have many accents",
    exact: 46,
    error: 0.1,
    text:
      "Proszę porównać dwie strategie wdrożenia naszej usługi płatności. Pierwsza utrzymuje jeden region i przełącza " +
      "się ręcznie; druga działa aktywnie w dwóch regionach.",
  },
  {
    kind: "Dutch, which looks like English",
    exact: 37,
    error: 0.1,
    text:
      "Vergelijk de twee uitrolstrategieën voor onze betaaldienst. De eerste houdt een enkele regio aan en schakelt " +
      "met de hand over; de tweede draait actief in twee regio's.",
  },
  {
    kind: "Amharic",
    exact: 191,
    error: 0.1,
    text: "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው፡፡ የተፈጥሮ ማስተዋልና ሕሊና ስላለው አንዱ ሌላውን በወንድማማችነት መንፈስ መመልከት ይገባዋል፡፡",
  },
  {
    kind: "Tibetan",
    exact: 244,
    error: 0.1,
    text: "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས་ཆེ་མཐོངས་དང༌། ཐོབ་ཐངགི་རང་དབང་འདྲ་མཉམ་དུ་ཡོད་ལ། ཁོང་ཚོར་རང་བྱུང་གི་བློ་རྩལ་དང་བསམ་ཚུལ་བཟང་པོ་འདོན་པའི་འོས་བབས་ཀྱང་ཡོད།",
  },
  {
    kind: "Burmese",
    exact: 67,
    error: 0.1,
    text: "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် လည်းကောင်း၊ တူညီလွတ်လပ်သော အခွင့်အရေးများဖြင့် လည်းကောင်း၊ မွေးဖွားလာသူများ ဖြစ်သည်။",
  },
  {
    kind: "Khmer",
    exact: 117,
    error: 0.1,
    text: "មនុស្សទាំងអស់កើតមកមានសេរីភាព និងភាពស្មើៗគ្នាក្នុងសេចក្ដីថ្លៃថ្នូរ និងសិទ្ធិ។ មនុស្សគ្រប់រូបសុទ្ធតែមានវិចារណញ្ញាណនិងមនសិការ ហើយគប្បីប្រព្រឹត្តចំពោះគ្នាទៅវិញទៅមកក្នុងស្មារតីរាប់អានគ្នាជាបងប្អូន។",
  },
  {
    kind: "Lao",
    exact: 325,
    error: 0.1,
    text: "ມະນຸດທຸກຄົນເກີດມາມີກຽດສັກສີ, ສິດທິ, ເສລີພາບແລະຄວາມສະເໝີພາບເທົ່າທຽມກັນ. ທຸກໆຄົນມີເຫດຜົນແລະຄວາມຄິດຄວາມເຫັນສ່ວນຕົວຂອງໃຜຂອງມັນ ແຕ່ວ່າມະນຸດທຸກໆຄົນຄວນປະພຶດຕໍ່ກັນຄືກັນກັບເປັນອ້າຍນ້ອງກັນ.",
  },
  {
    kind: "Cherokee",
    exact: 236,
    error: 0.1,
    text: "ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ ᎠᎴ ᎤᏂᏠᏱ ᎤᎾᏕᎿ ᏚᏳᎧᏛ ᎨᏒᎢ. ᎨᏥᏁᎳ ᎤᎾᏓᏅᏖᏗ ᎠᎴ ᎤᏃᏟᏍᏗ ᎠᎴ ᏌᏊ ᎨᏒ ᏧᏂᎸᏫᏍᏓᏁᏗ ᎠᎾᏟᏅᏢ ᎠᏓᏅᏙ ᎬᏗ.",
  },
  {
    kind: "Inuktitut",
    exact: 213,
    error: 0.1,
    text: "ᐃᓅᔪᓕᒫᑦ ᐊᓂᖅᑎᕆᔪᓕᒫᑦ ᐃᓅᓚᐅᕐᒪᑕ ᐃᓱᒪᕐᓱᕐᖢᑎᒃ ᐊᒻᒪ ᐊᔾᔨᐅᖃᑎᒌᒃᖢᑎᒃ ᓂᕐᓱᐊᖑᓪᓗᑎᒃ ᐊᒻᒪ ᐱᔪᓐᓇᐅᑎᖃᖅᖢᑎᒃ.",
  },
  {
    kind: "Dhivehi",
    exact: 264,
    error: 0.1,
    text: "ހުރިހާ އިންސާނުން ވެސް އުފަންވަނީ، މިނިވަންކަމުގެ ހައްޤާއެކުގައި، އަދި އެއްހަމަ އަދި އެއްވަރެއްގެ ޙުރުމަތެއް ދެވިގެންވާ ބައެއްގެ ގޮތުގައެވެ.",
  },
  {
    kind: "Mongolian in its own letters",
    exact: 239,
    error: 0.1,
    text: "ᠬᠦᠮᠦᠨ ᠪᠦᠷ ᠲᠥᠷᠥᠵᠦ ᠮᠡᠨᠳᠡᠯᠡᠬᠦ ᠡᠷᠬᠡ ᠴᠢᠯᠥᠭᠡ ᠲᠡᠢ᠂ ᠠᠳᠠᠯᠢᠬᠠᠨ ᠨᠡᠷ᠎ᠡ ᠲᠥᠷᠥ ᠲᠡᠢ᠂ ᠢᠵᠢᠯ ᠡᠷᠬᠡ ᠲᠡᠢ ᠪᠠᠢᠠᠭ᠃",
  },
  { kind: "N'Ko", exact: 82, error: 0.1, text: "ߡߐ߱ ߓߍ߯ ߘߐߞߊ߬ߙߊ߬ ߡߊ߬ߞߊ߲߬ ߞߊ߲ߕߍ߰ߣߍ߲ ߓߎ߲ߘߎ ߟߊ߫" },
  {
    kind: "Sinhala",
    exact: 107,
    error: 0.1,
    text: "සියලු මනුෂ්‍යයෝ නිදහස්ව උපත ලබා ඇත. ගරුත්වයෙන් හා අයිතිවාසිකම්වලින් සමාන වෙති. යුක්ති අයුක්ති පිළිබඳ හැඟීමෙන් හා හෘදය සාක්ෂියෙන් යුත් ඔවුන්, ඔවුනොවුන්වෙත සැළකිය යුත්තේ සහෝදරත්වය පිළිබඳ හැඟීමෙනි.",
  },
  {
    kind: "Yoruba, whose vowels carry marks",
    exact: 81,
    error: 0.1,
    text: "Gbogbo ènìyàn ni a bí ní òmìnira; iyì àti ẹ̀tọ́ kọ̀ọ̀kan sì dọ́gba. Wọ́n ní ẹ̀bùn ti làákàyè àti ti ẹ̀rí-ọkàn, ó sì yẹ kí wọn ó máa hùwà sí ara wọn gẹ́gẹ́ bí ọmọ ìyá.",
  },
  {
    kind: "Odia",
    exact: 161,
    error: 0.1,
    text: "ସବୁ ମନୁଷ୍ୟ ଜନ୍ମକାଳରୁ ସ୍ୱାଧୀନ. ସେମାନଙ୍କର ମର୍ଯ୍ୟାଦା ଓ ଅଧିକାର ସମାନ. ସେମାନଙ୍କଠାରେ ପ୍ରଜ୍ଞା ଓ ବିବେକ ନିହିତ ଅଛି. ସେମାନେ ପରସ୍ପର ପ୍ରତି ଭ୍ରାତୃତ୍ୱ ମନୋଭାବରେ ବ୍ୟବହାର କରିବା ଉଚିତ୍.",
  },
] as const

describe("estimateTokens", () => {
  it.each(COUNTED)("comes within $error of a real tokenizer on $kind", ({ text, exact, error }) => {
    expect(Math.abs(estimateTokens(text) / exact - 1)).toBeLessThanOrEqual(error)
  })

  it.each([
    ["a word with the blank before it", " responsible", 1],
    ["three digits", "123456789012", 4],
    ["a contraction", "don't", 1],
    ["a run of blanks", " ".repeat(60), 1],
    ["a line", "=".repeat(16), 1],
    ["the end of a statement and of its line", ");\n", 1],
    ["camel case, by its words", " getCurrentWeather", 3],
    ["compact JSON, mark by mark", '{"type":"object","city":"Rome"}', 9],
  ])("counts %s as a tokenizer does", (_, text, exact) => {
    expect(estimateTokens(text)).toBe(exact)
  })

  it("counts unlike blanks by their number, not as one run", () => {
    const blanks = (kinds: string) => {
      let seed = 1
      return Array.from({ length: 4_000 }, () => {
        seed = (seed * 16_807) % 2_147_483_647
        return kinds[seed % kinds.length]
      }).join("")
    }
    // Exact counts by o200k_base.
    expect(Math.abs(estimateTokens(blanks(" \t\n\r\u00a0\u3000")) / 2_585 - 1)).toBeLessThan(0.1)
    expect(Math.abs(estimateTokens(blanks(" \t\n\r  ")) / 1_726 - 1)).toBeLessThan(0.25)
  })

  it("counts a letter of a script that no tokenizer has learnt as its bytes, and no letter behind it as one", () => {
    expect(estimateTokens("ᱥᱟᱱᱛᱟᱲ")).toBe(18)
    expect(estimateTokens("𞤀𞤣𞤤𞤢𞤥")).toBe(20)
    expect(estimateTokens(`ᐃ${"a".repeat(10)}`)).toBeLessThanOrEqual(13)
  })

  it("never counts more tokens than bytes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        expect(estimateTokens(text)).toBeLessThanOrEqual(utf8Bytes(text))
        expect(Number.isInteger(estimateTokens(text))).toBe(true)
      }),
    )
    const rare = fc.constantFrom(
      "ᐃ",
      "ހ",
      "ƀ",
      "\u0301",
      "ẹ",
      "a",
      " ",
      "!",
      "𞤀",
      "\ud83d",
      "\ue000",
      "\u00a0",
      "\n",
    )
    fc.assert(
      fc.property(fc.string({ unit: rare, maxLength: 40 }), (text) => {
        expect(estimateTokens(text)).toBeLessThanOrEqual(utf8Bytes(text))
      }),
    )
  })

  it("counts nothing in an empty text", () => {
    expect(estimateTokens("")).toBe(0)
  })

  it("gives a megabyte about ten times the tokens of a tenth of it, in words or in one word", () => {
    for (const piece of ["words and ", "x", "中", "🎉", "{ }\n"]) {
      const small = estimateTokens(piece.repeat(100_000 / piece.length))
      const large = estimateTokens(piece.repeat(1_000_000 / piece.length))
      expect(large / small).toBeCloseTo(10, 0)
    }
  })
})
