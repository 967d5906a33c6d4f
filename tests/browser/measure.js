// What is wrong with a page as it is shown: a list of faults in words.
() => {
  const faults = [];
  const wide = document.documentElement;
  if (wide.scrollWidth > wide.clientWidth) faults.push(`wider than the window: ${wide.scrollWidth} > ${wide.clientWidth}`);
  const seen = (one) => one.checkVisibility({visibilityProperty: true, opacityProperty: true}) && one.getClientRects().length;
  const textRects = (text) => {
    const range = document.createRange();
    range.selectNodeContents(text);
    return [...range.getClientRects()].filter((line) => line.width > 1);
  };
  const broken = (node, text) => {
    const range = document.createRange();
    for (const {0: word, index} of node.data.matchAll(/\b[A-Za-z]{2,14}\b/g)) {
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      const tops = new Set([...range.getClientRects()].map((line) => Math.round(line.top)));
      if (tops.size > 1) faults.push(`a word broken in two: ${word} in ${text.slice(0, 40)}`);
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const box = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !seen(box) || box.closest('option,title')) continue;
    let size = parseFloat(getComputedStyle(box).fontSize);
    const matrix = box.getScreenCTM?.();
    if (matrix) size *= Math.min(Math.hypot(matrix.a, matrix.b), Math.hypot(matrix.c, matrix.d));
    const lines = [...textRects(walker.currentNode)];
    if (lines.length > 3 && Math.max(...lines.map((line) => line.width)) < 3.5 * size) {
      faults.push(`a column narrower than its words (${lines.length} lines): ${walker.currentNode.data.trim().slice(0, 40)}`);
    }
    const text = walker.currentNode.data.trim();
    if (size < 12) faults.push(`text of ${size} px: ${text.slice(0, 40)}`);
    if (lines.length > 1 && !matrix && !box.closest('code,pre,bdi,.visually-hidden')) broken(walker.currentNode, text);
  }
  for (const one of document.querySelectorAll('a[href],button,input:not([type=hidden]),select,textarea,summary')) {
    if (!seen(one) || one.closest('p,.text') || one.matches('.skip')) continue; // a link in a sentence is exempt: WCAG 2.5.8
    const {width, height} = one.getBoundingClientRect();
    if (width < 24 || height < 24) faults.push(`a target of ${Math.round(width)}x${Math.round(height)}: ${one.outerHTML.slice(0, 90)}`);
  }
  for (const one of document.querySelectorAll('td :is(button,.button).small, td:first-child time')) {
    if (!seen(one) || one.querySelector('svg,.visually-hidden')) continue;
    const tops = textRects(one).map((line) => line.top);
    if (Math.max(...tops) - Math.min(...tops) > 8) faults.push(`a button or a time on two lines in a table: ${one.textContent.trim()}`);
  }
  for (const one of document.querySelectorAll('[data-live]')) {
    const from = one.getAttribute('hx-get');
    if (from !== null && !from.startsWith('/console')) faults.push(`updates itself from ${from}, which is no page of the console`);
  }
  const bars = '.bottom, .shell, .deck, .save-bar, .editor-bar, thead th';
  const reached = [...document.querySelectorAll('main :is(a[href],button,input:not([type=hidden]),select,textarea,summary)')];
  for (const one of reached.filter((found) => seen(found) && !found.disabled).slice(-40)) { // most bars are at the end
    one.focus();
    const {left, top, width, height} = one.getBoundingClientRect();
    const above = document.elementFromPoint(left + width / 2, top + Math.min(height / 2, 20))?.closest(bars);
    if (above && !above.contains(one)) faults.push(`${above.className || above.localName} hides what has the focus: ${one.outerHTML.slice(0, 90)}`);
  }
  document.activeElement.blur();
  const bar = document.querySelector('.bottom');
  if (bar && innerWidth >= 768 && seen(bar)) faults.push("a phone's bar where there is room for navigation at the side");
  if (bar && innerWidth < 768) {
    const spots = [...bar.querySelectorAll('.spot')].filter(seen);
    if (spots.length !== 5) faults.push(`${spots.length} subjects in the bar`);
    if (Math.abs(bar.getBoundingClientRect().bottom - innerHeight) > 1) faults.push('the bar is not at the bottom');
    for (const spot of spots) if (spot.scrollWidth > spot.clientWidth) faults.push(`a subject wider than its place: ${spot.textContent.trim()}`);
  }
  const footer = document.querySelector('footer');
  if (!footer || !seen(footer)) faults.push('the footer is not there: something was cut off');
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  for (const id of new Set(ids.filter((one, at) => ids.indexOf(one) !== at))) faults.push(`an id twice: ${id}`);
  if (document.querySelectorAll('h1').length !== 1) faults.push('not exactly one h1');
  return faults;
}
