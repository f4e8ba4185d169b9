/** Sentences or snippets in many tongues, for prompts of any length: models without usage are billed for these too. */
export const TEXTS: Readonly<Record<string, readonly string[]>> = {
  english: [
    "The harbour master wrote down every ship that came in before noon, its cargo, and who would pay for it.",
    "Nobody had asked for the list in years, yet it was kept.",
    "Could you summarise the refund policy for orders that arrive damaged, and say who pays for the return?",
    "Our invoice from 12 March shows 1,284.50 USD, but the purchase order was approved for 1,248.50 USD only.",
  ],
  german: [
    "Der Hafenmeister schrieb jedes Schiff auf, das vor Mittag einlief, seine Ladung und wer dafür bezahlen würde.",
    "Seit Jahren hatte niemand nach der Liste gefragt, und doch wurde sie geführt.",
    "Bitte fassen Sie die Rückgabebedingungen für beschädigte Lieferungen zusammen und nennen Sie die Fristen.",
  ],
  french: [
    "Le capitaine du port notait chaque navire arrivé avant midi, sa cargaison et celui qui la paierait.",
    "Depuis des années, personne n'avait demandé la liste, et pourtant on la tenait à jour.",
    "Pouvez-vous résumer les conditions de remboursement pour les commandes arrivées endommagées ?",
  ],
  spanish: [
    "El capitán del puerto anotaba cada barco que llegaba antes del mediodía, su carga y quién pagaría por ella.",
    "Hacía años que nadie pedía la lista, y aun así se llevaba.",
    "¿Puede resumir las condiciones de devolución de los pedidos que llegan dañados?",
  ],
  polish: [
    "Kapitan portu zapisywał każdy statek, który przypłynął przed południem, jego ładunek i tego, kto za niego zapłaci.",
    "Od lat nikt nie pytał o tę listę, a jednak ją prowadzono.",
  ],
  turkish: [
    "Liman başkanı öğleden önce gelen her gemiyi, yükünü ve parasını kimin ödeyeceğini yazardı.",
    "Yıllardır kimse listeyi istememişti, ama yine de tutuluyordu.",
  ],
  finnish: [
    "Satamakapteeni kirjasi ylös jokaisen ennen puoltapäivää saapuneen laivan, sen lastin ja sen, kuka siitä maksaisi.",
    "Vuosiin kukaan ei ollut pyytänyt luetteloa nähtäväkseen, ja silti sitä pidettiin.",
  ],
  vietnamese: [
    "Trưởng cảng ghi lại mọi con tàu cập bến trước buổi trưa, hàng hóa của nó và ai sẽ trả tiền.",
    "Nhiều năm nay không ai hỏi đến danh sách ấy, vậy mà người ta vẫn ghi.",
  ],
  russian: [
    "Начальник порта записывал каждый корабль, пришедший до полудня, его груз и того, кто за него заплатит.",
    "Уже много лет никто не спрашивал список, и всё же его вели.",
    "Кратко опишите условия возврата для заказов, которые пришли повреждёнными.",
  ],
  greek: [
    "Ο λιμενάρχης κατέγραφε κάθε πλοίο που έφτανε πριν από το μεσημέρι, το φορτίο του και ποιος θα το πλήρωνε.",
    "Χρόνια τώρα κανείς δεν είχε ζητήσει τον κατάλογο, κι όμως τον κρατούσαν.",
  ],
  arabic: [
    "كان مدير الميناء يدوّن كل سفينة تصل قبل الظهر وحمولتها ومن سيدفع ثمنها.",
    "لم يطلب أحد القائمة منذ سنوات، ومع ذلك ظلت تُكتب.",
  ],
  hebrew: [
    "מנהל הנמל רשם כל ספינה שהגיעה לפני הצהריים, את מטענה ומי ישלם עליה.",
    "שנים שאיש לא ביקש את הרשימה, ובכל זאת ניהלו אותה.",
  ],
  hindi: [
    "बंदरगाह के अधिकारी दोपहर से पहले आने वाले हर जहाज़, उसके माल और उसका दाम चुकाने वाले का नाम लिखते थे।",
    "बरसों से किसी ने सूची नहीं माँगी थी, फिर भी वह लिखी जाती रही।",
  ],
  thai: ["นายท่าเรือจดเรือทุกลำที่เข้ามาก่อนเที่ยง สินค้าของเรือ และผู้ที่จะจ่ายเงิน", "ไม่มีใครขอดูรายการมาหลายปีแล้ว แต่ก็ยังจดอยู่"],
  chinese: [
    "港务长把中午之前进港的每一艘船、船上的货物以及付款的人都记了下来。",
    "多年来没有人要过这份名单，但它一直在记。",
    "请概括一下商品到货时已损坏的订单的退款规定，并说明由谁承担退货费用。",
  ],
  japanese: [
    "港長は正午までに入港したすべての船と、その積み荷、そして誰が代金を払うのかを書き留めた。",
    "何年も誰も一覧を求めなかったが、それでも続けられていた。",
    "破損して届いた注文の返金条件を要約し、返品の送料を誰が払うのか教えてください。",
  ],
  korean: [
    "항만장은 정오 전에 들어온 모든 배와 그 화물, 그리고 누가 값을 치를지를 적어 두었다.",
    "여러 해 동안 아무도 목록을 찾지 않았지만 기록은 계속되었다.",
  ],
  typescript: [
    "export function total(lines: readonly Line[]): number {\n  let sum = 0\n  for (const { amount, tax } of lines) sum += amount * (1 + tax)\n  return Math.round(sum * 100) / 100\n}\n",
    "const byId = new Map(orders.map((order) => [order.id, order]))\nif (!byId.has(id)) throw new RangeError(`there is no such order`)\n",
  ],
  python: [
    'def total(lines):\n    """Sum of all lines, tax included."""\n    return round(sum(line.amount * (1 + line.tax) for line in lines), 2)\n\n',
    "with open(path, encoding='utf-8') as file:\n    rows = [row.split(';') for row in file if not row.startswith('#')]\n",
  ],
  json: [
    '{"id":"ord-1882","lines":[{"sku":"A-17","count":3,"price":12.5},{"sku":"B-02","count":1,"price":99}],"paid":true}\n',
    '{"event":"ship.arrived","at":"2026-03-12T09:41:07Z","berth":14,"cargo":["grain","timber"],"payer":null}\n',
  ],
  markdown: [
    "## Results\n\n| name | calls | share |\n|---|---:|---:|\n| small | 1,204 | 61.2 % |\n| large | 763 | 38.8 % |\n\n",
    "- **Fast**: see [the figures](https://example.com/figures)\n- *Cheap*: `npm run bench`\n\n> Kept since 1998.\n\n",
  ],
}
