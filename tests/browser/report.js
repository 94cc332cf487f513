// Called by scripts/report-check: node tests/browser/report.js REPORT.html FOLDER
const { chromium } = require('playwright-core');
const axe = require('axe-core');
const { pathToFileURL } = require('node:url');
const path = require('node:path');

const [, , page, out] = process.argv;
const views = [
  { name: 'light', width: 1280, height: 900, colorScheme: 'light' },
  { name: 'dark', width: 1280, height: 900, colorScheme: 'dark' },
  { name: 'phone', width: 390, height: 844, colorScheme: 'light' },
];

(async () => {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  let bad = 0;
  const fail = (text) => { bad += 1; console.error(text); };
  for (const view of views) {
    // The page's own policy forbids scripts; axe is one, so the browser is told to let it in.
    const context = await browser.newContext({
      viewport: { width: view.width, height: view.height }, colorScheme: view.colorScheme, bypassCSP: true,
    });
    const tab = await context.newPage();
    tab.on('request', (request) => {
      if (request.url() !== pathToFileURL(page).href) fail(`${view.name}: the page asks for ${request.url()}`);
    });
    await tab.goto(pathToFileURL(page).href);
    await tab.screenshot({ path: path.join(out, `${view.name}.png`), fullPage: true });
    const wider = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wider > 0) fail(`${view.name}: the page is ${wider} px wider than its window`);
    // Letters that stand out over their drawing would be cut off.
    const cut = await tab.evaluate(() => [...document.querySelectorAll('figure > svg')].flatMap((svg) => {
      const frame = svg.getBoundingClientRect();
      return [...svg.querySelectorAll('text')].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
      }).map((text) => `${svg.querySelector('title').textContent}: ${text.textContent}`);
    }));
    cut.forEach((text) => fail(`${view.name}: cut off: ${text}`));
    await tab.evaluate(axe.source);
    const { violations } = await tab.evaluate(() => window.axe.run());
    for (const violation of violations) {
      const first = violation.nodes.slice(0, 3).map((node) => `  ${node.html}\n  ${node.failureSummary}`).join('\n');
      fail(`${view.name}: axe ${violation.id}: ${violation.help}\n${first}`);
    }
    console.log(`${view.name}: ${violations.length} violations`);
    if (view.name === 'light') await tab.pdf({ path: path.join(out, 'report.pdf'), format: 'A4' });
    await context.close();
  }
  // With its policy in force the page still has its style: the hash in the policy is that of the style.
  const tab = await browser.newPage();
  const refused = [];
  tab.on('console', (message) => refused.push(message.text()));
  await tab.goto(pathToFileURL(page).href);
  const styled = await tab.evaluate(() => getComputedStyle(document.querySelector('.top')).display);
  if (styled !== 'flex') fail('the policy of the page refuses its own style');
  refused.forEach((text) => fail(`the browser says: ${text}`));
  await browser.close();
  process.exit(bad ? 1 : 0);
})().catch((error) => { console.error(error); process.exit(1); });
